from __future__ import annotations

import ast
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from gitopsd.runner.bundle import runtime_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runner.station import Station

PYTHON_LIBRARY = set(sys.stdlib_module_names)


def test_the_bundle_is_the_same_text_each_time_and_sorted() -> None:
    files = runtime_files()
    assert list(files) == sorted(files)
    script = (
        "import json; from gitopsd.runner.bundle import runtime_files;"
        "print(json.dumps([[path, content.decode(), flag] for path, (content, flag) in runtime_files().items()]))"
    )
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert json.loads(again) == [[path, content.decode(), flag] for path, (content, flag) in files.items()]


def test_the_bundle_holds_what_runs_and_nothing_else() -> None:
    files = runtime_files()
    assert {"launch.py", "runner/__main__.py", "runner/gitopsd/__init__.py", "runner/jmespath/LICENSE"} <= files.keys()
    assert "runner/gitopsd/runner/main.py" in files
    assert not [path for path in files if "bundle" in path or "__pycache__" in path or path.endswith(".pyc")]


LIBRARIES_OF = {"transports/nats/": {"nats", "ecdsa"}, "transports/object_store/": {"botocore", "urllib3"}}
"""What parts of the runner may import that isn't in every release."""


def test_what_ships_imports_the_standard_library_jmespath_itself_and_its_own_library_only() -> None:
    for path, (content, _executable) in runtime_files().items():
        if not path.endswith(".py") or path.startswith("runner/jmespath/"):
            continue
        own = [names for part, names in LIBRARIES_OF.items() if part in path]
        allowed = PYTHON_LIBRARY | {"jmespath"}.union(*own)
        for node in ast.walk(ast.parse(content)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import works in one of the two layouts only"
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                assert top in allowed or name.startswith("gitopsd.runner"), f"{path}: {name}"


def test_a_release_runs_its_own_runner_and_not_an_installed_one(every_python: Station) -> None:
    """Where the controller runs on the worker too, its package is there as well."""
    station = every_python
    station.describe("o.where.0", runner={"role": "none", "with": {}, "inputs": {}, "outputs": {}})
    process = station.start("o.where.0", GITOPSD_DEBUG="1")
    assert process.finish() == 1
    assert "runtime/runner/gitopsd/runner/main.py" in process.said()
    assert "job.json names the role none, which this runtime doesn't have" in process.said()


def test_a_release_runs_its_own_libraries_and_not_installed_ones(station: Station, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (installed,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    library = station.release / "libraries" / "nats"
    library.mkdir(parents=True)
    for place, text in ((installed, "the worker"), (library, "the release")):
        (place / "nats.py").write_text(f"raise ImportError('taken from {text}')\n")
    station.interpreter = str(tmp_path / "venv" / "bin" / "python")
    end = {"transport": "nats", "channel": "c", "producer": "o.collect.0", "consumers": {}}
    process = station.start(station.reads([end]))
    assert process.finish() == 1
    assert "taken from the release" in process.said()


def test_running_leaves_the_release_as_it_was(station: Station) -> None:
    """Its id is a hash over its files: byte code beside them would be drift."""
    before = sorted(station.release.rglob("*"))
    station.describe("o.where.0", runner={"role": "transform", "with": {"actions": []}, "inputs": {}, "outputs": {}})
    assert station.start("o.where.0").finish() == 1
    after = sorted(path for path in station.release.rglob("*") if "jobs" not in path.parts)
    assert after == before
