"""kill -9 of the agent before every one of its changes, on a real machine: the next activation finishes the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gitopsd.fleet import verbs
from tests.agent.releases import TestJob, activation, release_of
from tests.crash.killing import MOST_POINTS, killed_at
from tests.fleet_ssh.on_machines import (
    ROOT,
    SYSTEM,
    activate,
    active,
    lines,
    starts,
    unit,
    until,
)

if TYPE_CHECKING:
    from gitopsd.fleet.connection import WorkerConnection
    from tests.agent.releases import TestRelease
    from tests.fleet.machine import Machine

STAYS, CHANGES, LEAVES, COMES, ONCE = (f"orders.{name}.0" for name in ("stays", "changes", "leaves", "comes", "once"))
# every point with GITOPSD_FULL_MATRIX=1, a sample that meets each phase otherwise
STRIDE = 1 if os.environ.get("GITOPSD_FULL_MATRIX", "") == "1" else 13


def release(version: int, job: str) -> TestRelease:
    return release_of(
        TestJob(name=STAYS),
        TestJob(name=CHANGES, version=str(version), directories=(f"/srv/{version}/out",)),
        TestJob(name=job),
        TestJob(name=ONCE, kind="once", version=str(version)),
    )


@pytest.mark.timeout(1800)
def test_an_activation_killed_anywhere_is_finished_by_the_next(machine: Machine, worker: WorkerConnection) -> None:
    stays = activate(worker, release(0, LEAVES)).observation.units[unit(STAYS)].main_pid
    for number, point in enumerate(range(1, MOST_POINTS, STRIDE)):
        other = LEAVES if number % 2 else COMES
        wanted = release(point, other)
        request, payload = activation(wanted)
        if not killed_at(machine, point, "activate", request, payload):
            break
        between = verbs.observe(worker)
        assert between.tree == between.release, "no half release is ever current"
        result = activate(worker, wanted)
        assert result.failed == {}, point
        state = result.observation
        assert state.release == state.tree == wanted.id
        assert state.interrupted is False
        assert state.applied.keys() == {STAYS, CHANGES, other, ONCE}
        assert active(state).keys() == {unit(job) for job in state.applied}
        assert {shown.active for name, shown in state.units.items() if name != unit(ONCE)} == {"active"}
        assert all(shown.enabled for shown in state.units.values())
        assert starts(machine, CHANGES)[-1] == str(point), "what runs is what was asked for"
        assert state.units[unit(STAYS)].main_pid == stays, "what did not change is not touched"
        assert lines(machine, "stat", "-c", "%U", f"/srv/{point}/out") == ["gitopsd-job"]
        assert activate(worker, wanted).unchanged == tuple(sorted(state.applied))
        left = lines(machine, "find", ROOT, SYSTEM, "-name", "*.new", "-o", "-path", f"{ROOT}/staging/*")
        assert left == [], point
    else:
        pytest.fail("it never ran to its end")
    assert point > 30
    assert lines(machine, "systemctl", "show", "-p", "NeedDaemonReload", unit(CHANGES)) == ["NeedDaemonReload=no"]


@pytest.mark.timeout(1800)
def test_going_back_after_a_killed_activation_runs_what_ran_before(machine: Machine, worker: WorkerConnection) -> None:
    before = release(0, LEAVES)
    for point in range(1, MOST_POINTS, STRIDE):
        activate(worker, before)
        request, payload = activation(release(point, COMES))
        if not killed_at(machine, point, "activate", request, payload):
            break
        state = activate(worker, before).observation
        assert state.tree == before.id
        assert {shown.active for name, shown in state.units.items() if name != unit(ONCE)} == {"active"}
        assert state.units.keys() == {unit(job) for job in (STAYS, CHANGES, LEAVES, ONCE)}
        assert starts(machine, CHANGES)[-1] == "0", (point, "what was begun must not be left running")
        until(lambda: starts(machine, ONCE)[-1] == "0")
    else:
        pytest.fail("it never ran to its end")


@pytest.mark.timeout(1800)
def test_a_first_activation_killed_anywhere_is_finished_by_the_next(machine: Machine, worker: WorkerConnection) -> None:
    wanted = release(1, COMES)
    request, payload = activation(wanted)
    for point in range(1, MOST_POINTS, STRIDE):
        verbs.teardown(worker)
        if not killed_at(machine, point, "activate", request, payload):
            break
        state = activate(worker, wanted).observation
        assert state.release == state.tree == wanted.id
        assert {shown.active for name, shown in state.units.items() if name != unit(ONCE)} == {"active"}
    else:
        pytest.fail("it never ran to its end")


@pytest.mark.timeout(1800)
def test_a_teardown_killed_anywhere_is_finished_by_the_next(machine: Machine, worker: WorkerConnection) -> None:
    wanted = release(1, COMES)
    files = lines(machine, "find", SYSTEM)
    for point in range(1, MOST_POINTS, STRIDE):
        activate(worker, wanted)
        if not killed_at(machine, point, "teardown", {"owner": "a" * 40}):
            break
        verbs.teardown(worker)
        assert lines(machine, "find", SYSTEM) == files
        assert lines(machine, "ls", "-d", ROOT) == []
    else:
        pytest.fail("it never ran to its end")


def test_a_machine_that_lost_power_midway_converges(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, release(0, LEAVES))
    for point in (12, 40):
        wanted = release(1000 + point, COMES)
        request, payload = activation(wanted)
        assert killed_at(machine, point, "activate", request, payload)
        machine.power_off()
        machine.boot()
        between = verbs.observe(worker)
        assert between.tree == between.release
        state = activate(worker, wanted).observation
        assert state.release == state.tree == wanted.id
        assert {shown.active for name, shown in state.units.items() if name != unit(ONCE)} == {"active"}
        assert starts(machine, CHANGES)[-1] == str(1000 + point)
