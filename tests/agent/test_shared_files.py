"""Files of the runtime that releases share on a worker's disk, and what becomes of them when somebody edits one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gitopsd.agent.githash import read_directory, tree_id
from gitopsd.agent.manifest import parse_manifest
from gitopsd.agent.shared_files import link_runtime
from tests.agent.releases import TestJob, activation, release_of
from tests.agent.worker import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.releases import TestRelease
    from tests.agent.worker import Worker

JOB = "orders.a.0"
RUNTIME = "runtime/launch.py"
LIBRARY = "libraries/nats/nats/__init__.py"
FIRST, SECOND, THIRD = (release_of(TestJob(name=JOB, version=version)) for version in "123")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are shared")


def place(worker: Worker, release: TestRelease, path: str) -> Path:
    return worker.root / "releases" / release.id / path


def tree(worker: Worker, release: TestRelease) -> str:
    return tree_id(read_directory(worker.root / "releases" / release.id))


@pytest.mark.parametrize("shared", [RUNTIME, LIBRARY])
def test_a_release_shares_the_runtime_with_the_one_before_and_nothing_else(worker: Worker, shared: str) -> None:
    worker.activate(FIRST)
    worker.activate(SECOND, FIRST)
    unchanged = f"units/gitopsd-{JOB}.service"
    assert place(worker, SECOND, shared).samefile(place(worker, FIRST, shared))
    assert place(worker, SECOND, unchanged).read_bytes() == place(worker, FIRST, unchanged).read_bytes()
    assert not place(worker, SECOND, unchanged).samefile(place(worker, FIRST, unchanged))


def test_what_was_edited_in_place_does_not_get_into_the_next_release(worker: Worker) -> None:
    worker.activate(FIRST)
    place(worker, FIRST, RUNTIME).write_text("broken")
    with pytest.raises(Refused) as refused:
        worker.activate(SECOND, FIRST)
    assert refused.value.code == "bad-payload", "no release here has it any more: it must be sent"
    assert worker.observe()["release"] == FIRST.id
    worker.activate(SECOND)
    assert worker.observe()["tree"] == SECOND.id
    assert not place(worker, SECOND, RUNTIME).samefile(place(worker, FIRST, RUNTIME))


def test_an_edit_in_place_that_two_releases_share_is_undone_in_each_before_it_runs_again(worker: Worker) -> None:
    worker.activate(FIRST)
    worker.activate(SECOND, FIRST)
    place(worker, SECOND, RUNTIME).write_text("broken")
    assert worker.observe()["tree"] != SECOND.id
    worker.activate(SECOND)
    assert (tree(worker, SECOND), tree(worker, FIRST) == FIRST.id) == (SECOND.id, False)
    worker.activate(FIRST, SECOND)
    assert tree(worker, FIRST) == worker.observe()["tree"] == FIRST.id


def test_the_next_release_is_whole_also_where_the_one_before_is_gone(worker: Worker) -> None:
    worker.activate(FIRST)
    place(worker, FIRST, RUNTIME).unlink()
    worker.activate(SECOND)
    assert worker.observe()["tree"] == SECOND.id


@pytest.mark.parametrize("mode", [0o666, 0o755, 0o600])
def test_a_file_that_others_may_write_or_of_another_mode_is_not_shared(tmp_path: Path, mode: int) -> None:
    request, _ = activation(FIRST)
    manifest = parse_manifest(request["release"], request["manifest"])
    for directory in ("old", "new"):
        (tmp_path / directory / "runtime").mkdir(parents=True)
    source = tmp_path / "old" / RUNTIME
    source.write_bytes(FIRST.files[RUNTIME][1])
    source.chmod(mode)
    assert link_runtime(tmp_path / "old", tmp_path / "new", manifest) == set()
    source.chmod(0o644)
    os.chown(source, 1, 1)
    assert link_runtime(tmp_path / "old", tmp_path / "new", manifest) == set()
    os.chown(source, 0, 0)
    assert {entry.path for entry in link_runtime(tmp_path / "old", tmp_path / "new", manifest)} == {RUNTIME}
