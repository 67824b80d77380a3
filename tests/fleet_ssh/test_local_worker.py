"""The built-in worker as the controller sees it."""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from gitopsd.agent.bundle import agent_script
from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.fleet.layout import layout_of, layout_problem
from gitopsd.fleet.local import LocalWorker
from gitopsd.fleet.target import Target
from gitopsd.model.facts import Owner
from gitopsd.planner.drift import is_bare
from tests.agent.releases import OWNER, TestJob, release_of
from tests.fleet_ssh.on_machines import activate, active, unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitopsd.fleet.connection import WorkerConnection

A = "orders.a.0"
ONE = release_of(TestJob(name=A))
TARGET = Target(name="local", connection="local", service_manager="supervisor", owner=Owner(**OWNER))


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerConnection]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Workers() as workers, workers.connect(TARGET) as connection:
        yield connection
        verbs.teardown(connection)


def test_it_is_activated_observed_and_torn_down(worker: WorkerConnection, tmp_path: Path) -> None:
    assert verbs.probe(worker).problems == ()
    assert activate(worker, ONE).started == (A,)
    state = verbs.observe(worker)
    assert active(state) == {unit(A): "active"}
    assert state.tree == ONE.id
    assert any(A in line for line in verbs.logs(worker, A).lines)
    assert verbs.prune(worker, [ONE.id]).removed == ()
    assert (tmp_path / f"gitopsd/local-aaaaaaaa/agent/{agent_script().sha256}.py").is_file()
    gone = verbs.teardown(worker)
    assert gone.units == (unit(A),)
    outermost = str(tmp_path / "gitopsd/local-aaaaaaaa")
    assert [path for path in gone.directories if not path.startswith("/tmp/gitopsd-")] == [outermost]
    assert not (tmp_path / "gitopsd/local-aaaaaaaa/releases").exists()


def test_a_look_leaves_nothing_where_nothing_is(worker: WorkerConnection, tmp_path: Path) -> None:
    look = LocalWorker(TARGET, only_looks=True)
    assert is_bare(verbs.observe(look))
    assert list(tmp_path.iterdir()) == []
    activate(worker, ONE)
    assert verbs.observe(look).tree == ONE.id


def test_a_call_that_takes_too_long_ends_at_its_timeout(worker: WorkerConnection) -> None:
    with pytest.raises(WorkerUnreachable) as refused:
        worker.call("probe", {}, timeout=0.001)
    assert refused.value.stage == "read"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    layout = layout_of(TARGET, {"XDG_STATE_HOME": str(tmp_path / "file")})
    with pytest.raises(WorkerRefused, match="Not a directory"):
        LocalWorker(TARGET, layout).call("observe", {"owner": None})


def test_a_place_that_supervisord_cannot_take_is_told_before_anything_is_written() -> None:
    fine = layout_of(TARGET, {"XDG_STATE_HOME": "/home/al b/100%;x"})
    assert layout_problem(fine) is None
    assert layout_problem(layout_of(Target(name="edge-1"))) is None
    bad = layout_of(TARGET, {"XDG_STATE_HOME": '/home/al "b"'})
    assert "set XDG_STATE_HOME" in (layout_problem(bad) or "")
    python = msgspec.structs.replace(fine, supervisor_python='/opt/"x"/bin/python')
    assert "install gitopsd" in (layout_problem(python) or "")


def test_a_directory_inside_another_is_not_listed_as_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short, Workers() as workers:
        monkeypatch.setenv("XDG_STATE_HOME", short)
        with workers.connect(TARGET) as connection:
            activate(connection, ONE)
            assert verbs.teardown(connection).directories == (f"{short}/gitopsd/local-aaaaaaaa",)


def test_layouts_are_stable_and_fit_their_sockets(tmp_path: Path) -> None:
    short = layout_of(TARGET, {"XDG_STATE_HOME": "/home/al/.local/state"})
    assert short.root == "/home/al/.local/state/gitopsd/local-aaaaaaaa"
    assert short.run == f"{short.root}/run"
    assert short.supervisor_python == sys.executable
    long = layout_of(TARGET, {"XDG_STATE_HOME": f"/home/{'x' * 100}"})
    assert len(long.run) < 60
    assert long.run == layout_of(TARGET, {"XDG_STATE_HOME": f"/home/{'x' * 100}"}).run
    system = layout_of(Target(name="edge-1"), {"XDG_STATE_HOME": str(tmp_path)})
    assert (system.root, system.run) == ("/var/lib/gitopsd", "/run/gitopsd")
    assert system.as_json()["supervisor"] is None
