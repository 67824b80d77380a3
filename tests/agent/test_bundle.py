from __future__ import annotations

import ast
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import gitopsd.agent
from gitopsd.agent import bundle
from gitopsd.agent.bundle import agent_script

SOURCES = sorted(Path(gitopsd.agent.__file__).parent.glob("*.py"))


def test_the_script_is_named_by_its_content_and_the_same_each_time() -> None:
    first = agent_script()
    agent_script.cache_clear()
    assert agent_script() == first
    assert first.sha256 == hashlib.sha256(first.content).hexdigest()


def test_the_script_is_the_agent_and_not_its_bundler() -> None:
    names = zipfile.ZipFile(io.BytesIO(agent_script().content)).namelist()
    sent = {path.name for path in SOURCES} - {"bundle.py", "prepare.py"}
    assert set(names) == {"__main__.py", *(f"{bundle.PACKAGE}/{name}" for name in sent)}


def test_the_agent_imports_the_standard_library_and_itself_only() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                assert module.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {module}"


def test_a_python_that_is_too_old_is_told_in_the_protocols_words(tmp_path: Path) -> None:
    script = zipfile.ZipFile(io.BytesIO(agent_script().content)).read("__main__.py").decode()
    old = tmp_path / "old.py"
    old.write_text("import sys\nsys.version_info = (3, 8, 18)\n" + script)
    done = subprocess.run([sys.executable, str(old)], capture_output=True, text=True, check=True)
    assert '"code": "unsupported"' in done.stdout
    assert "3.8 is too old" in done.stdout


def test_bytecode_is_kept_beside_the_agent_and_a_broken_one_is_passed_over(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_bytes(agent_script().content)
    kept = tmp_path / f"agent.py.{sys.implementation.cache_tag}.zip"
    for content in (None, b"", b"not a zip", b"PK\x05\x06"):
        if content is not None:
            kept.write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-IB", str(agent), "observe"], input=b"{}\n", capture_output=True, check=True
        )
        assert b'"code":"protocol"' in done.stdout
    kept.unlink()
    subprocess.run([sys.executable, "-IB", str(agent), "observe"], input=b"{}\n", capture_output=True, check=True)
    assert any(name.endswith(".pyc") for name in zipfile.ZipFile(kept).namelist())
