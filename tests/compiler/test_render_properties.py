import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.front import compile_front
from gitopsd.compiler.place import fleet_workers
from gitopsd.model.trees import build_tree, object_id
from tests.compiler.cases import GOLDEN, RUNTIME, Case, compile_with
from tests.compiler.repositories import REPOSITORIES, Repository
from tests.contents import in_memory

COMPILE = """
import sys
from pathlib import Path
from tests.compiler.cases import Case
compiled = Case(path=Path(sys.argv[1])).compile()
print(compiled.rendering.id if compiled.rendering else compiled.diagnostics)
"""


@given(repository=REPOSITORIES, seed=st.integers(1, 1000))
def test_the_order_of_files_and_keys_does_not_matter(repository: Repository, seed: int) -> None:
    first, second = compile_with(repository.source(0)), compile_with(repository.source(seed))
    assert first.rendering is not None
    assert second.rendering is not None
    assert second.rendering.id == first.rendering.id


@pytest.mark.parametrize("name", ["two-groups-with-replicas", "own-blueprint", "no-eligible-worker"])
def test_hash_seed_time_zone_locale_and_directory_do_not_matter(name: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    surroundings: list[dict[str, str]] = [
        {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"},
        {"PYTHONHASHSEED": "99", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0", "LANG": "C"},
    ]
    results = {
        subprocess.check_output(
            [sys.executable, "-c", COMPILE, str(GOLDEN / name)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root), **variables},
            cwd=tmp_path if index else root,
        )
        for index, variables in enumerate(surroundings)
    }
    assert len(results) == 1


def test_another_placement_before_gives_another_tree() -> None:
    """The check above can fail: what a plan does depend on shows in the tree."""
    case = Case(path=GOLDEN / "two-groups-with-replicas")
    other = {"placement": {"orders.collect.0": "edge-1", "orders.collect.1": "edge-2"}}
    first, second = compile_with(case.source()), compile_with(case.source(), other)
    assert first.rendering is not None
    assert second.rendering is not None
    assert first.rendering.id != second.rendering.id


def test_the_runtime_lies_in_every_release_that_has_jobs() -> None:
    rendering = Case(path=GOLDEN / "two-groups-with-replicas").compile().rendering
    assert rendering is not None
    runtime = build_tree(RUNTIME).id
    assert {path for path, entry in rendering.tree().entries.items() if entry.id == runtime} == {
        f"workers/{worker}/runtime" for worker in ("core-1", "edge-1", "edge-2")
    }


def test_a_worker_that_left_the_fleet_gets_an_empty_release() -> None:
    case = Case(path=GOLDEN / "two-groups-with-replicas")
    smaller = case.source()
    path = "fleets/production.yaml"
    smaller[path] = b"\n".join(line for line in smaller[path].split(b"\n") if b"edge-2:" not in line)
    front = compile_front(in_memory(case.source()), None)
    assert front.linked is not None
    rendering = compile_with(smaller, {"fleet": fleet_workers(front.linked)}).rendering
    assert rendering is not None
    tree = rendering.tree()
    assert sorted(path for path in tree.entries if path.startswith("workers/edge-2/")) == [
        "workers/edge-2/release.json"
    ]
    release = tree.objects[tree.entries["workers/edge-2/release.json"].id].data
    assert b'"jobs": {}' in release
    fleet = tree.objects[tree.entries["fleet.json"].id].data
    assert b'"leaving": true' in fleet


@given(repository=REPOSITORIES)
def test_ids_are_those_of_the_contents(repository: Repository) -> None:
    rendering = compile_with(repository.source()).rendering
    assert rendering is not None
    for id_, item in rendering.tree().objects.items():
        assert object_id(item.kind, item.data) == id_
