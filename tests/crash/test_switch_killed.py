"""kill -9 of the agent while a switch is armed, or while it undoes: the worker ends up where it was, by itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from gitopsd.fleet import verbs
from tests.agent.releases import OWNER, TestJob, activation, encoded, release_of
from tests.crash.killing import MOST_POINTS, killed_at
from tests.fleet_ssh.on_machines import ROOT, active, lines, starts, unit, until

if TYPE_CHECKING:
    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.model.facts import Observation
    from tests.agent.releases import TestRelease
    from tests.fleet.machine import Machine

STAYS, CHANGES, LEAVES, COMES = (f"orders.{name}.0" for name in ("stays", "changes", "leaves", "comes"))
UNDONE = 60.0
# every point with GITOPSD_FULL_MATRIX=1, a sample that meets each phase otherwise
STRIDE = 1 if os.environ.get("GITOPSD_FULL_MATRIX", "") == "1" else 19


BEFORE = release_of(TestJob(name=STAYS), TestJob(name=CHANGES, secrets=("token",)), TestJob(name=LEAVES))


def after(version: int) -> TestRelease:
    changes = TestJob(name=CHANGES, version=str(version), secrets=("token",), unit_lines=("Nice=5",))
    return release_of(TestJob(name=STAYS), changes, TestJob(name=COMES))


def require_before(machine: Machine, worker: WorkerConnection, before: Observation, point: int) -> None:
    until(lambda: verbs.observe(worker).switch is None, UNDONE)
    state = verbs.observe(worker, key=b"k" * 32)
    assert state.release == state.tree == BEFORE.id, point
    assert state.interrupted is False, point
    assert active(state) == dict.fromkeys((unit(CHANGES), unit(LEAVES), unit(STAYS)), "active"), point
    assert {name: shown.blob for name, shown in state.units.items()} == {
        name: shown.blob for name, shown in before.units.items()
    }
    assert all(shown.enabled for shown in state.units.values())
    assert state.applied == before.applied
    assert state.credentials == before.credentials
    assert state.units[unit(STAYS)].main_pid == before.units[unit(STAYS)].main_pid, "what stays is not touched"
    assert starts(machine, CHANGES)[-1] == "1", (point, "what was begun must not be left running")
    held = json.loads("".join(lines(machine, "cat", f"{ROOT}/state/{CHANGES}/held")))
    assert held == json.loads("".join(lines(machine, "cat", "/opt/held"))), point


def is_undone(state: Observation, release: TestRelease) -> bool:
    return state.rolled_back is not None and state.rolled_back.release == release.id


def begin(machine: Machine, worker: WorkerConnection) -> Observation:
    token = {"token": b"old"}
    request, payload = activation(BEFORE, credentials=encoded(token), fingerprint_key=(b"k" * 32).hex())
    worker.call("activate", request, payload)
    machine.run(["cp", f"{ROOT}/state/{CHANGES}/held", "/opt/held"])
    return verbs.observe(worker, key=b"k" * 32)


@pytest.mark.timeout(3600)
def test_an_activation_killed_anywhere_is_undone_by_the_worker_alone(
    machine: Machine, worker: WorkerConnection
) -> None:
    before = begin(machine, worker)
    for point in range(1, MOST_POINTS, STRIDE):
        request, payload = activation(after(point), BEFORE, confirm_timeout=1, credentials=encoded({"token": b"new"}))
        if not killed_at(machine, point, "activate", request, payload):
            break
        found = verbs.observe(worker)
        moved = found.switch is not None or is_undone(found, after(point))  # which may have come to its end already
        require_before(machine, worker, before, point)
        assert moved == is_undone(verbs.observe(worker), after(point)), point
    else:
        pytest.fail("it never ran to its end")
    assert point > 60
    require_before(machine, worker, before, point)


@pytest.mark.timeout(3600)
def test_a_rollback_killed_anywhere_is_finished_by_the_worker_alone(machine: Machine, worker: WorkerConnection) -> None:
    before = begin(machine, worker)
    rollback: dict[str, object] = {"owner": OWNER["root_commit"], "reason": "the canary failed", "deadline": 60}
    for point in range(1, MOST_POINTS, STRIDE):
        request, payload = activation(after(point), BEFORE, confirm_timeout=600, credentials=encoded({"token": b"new"}))
        worker.call("activate", request, payload)
        if not killed_at(machine, point, "rollback", rollback):
            break
        # a deadline that is far away counts no more once it has begun; before that, whoever ordered it asks again
        if (found := verbs.observe(worker).switch) is not None and found.phase == "waiting":
            verbs.rollback(worker, "the canary failed")
        require_before(machine, worker, before, point)
    else:
        pytest.fail("it never ran to its end")
    require_before(machine, worker, before, point)


@pytest.mark.timeout(3600)
def test_an_activation_after_one_or_a_rollback_was_killed_keeps_what_was_confirmed(
    machine: Machine, worker: WorkerConnection
) -> None:
    before = begin(machine, worker)
    for point in range(30, MOST_POINTS, 3 * STRIDE):
        request, payload = activation(after(point), BEFORE, confirm_timeout=600, credentials=encoded({"token": b"new"}))
        if not killed_at(machine, point, "activate", request, payload):
            break
        again = activation(after(point + 1000), BEFORE, confirm_timeout=600, credentials=encoded({"token": b"newer"}))
        answer = worker.call("activate", *again)
        assert (answer["failed"], answer["observation"]["switch"]["previous"]) == ({}, BEFORE.id), point
        assert starts(machine, CHANGES)[-1] == str(point + 1000)
        verbs.rollback(worker, "just so")
        require_before(machine, worker, before, point)
