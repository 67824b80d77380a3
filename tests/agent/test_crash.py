"""Killed before any of its changes, the agent converges when it is run again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import tests.crash.points
from tests.agent.releases import TestJob, activation, release_of

if TYPE_CHECKING:
    from tests.agent.releases import TestRelease
    from tests.agent.worker import Worker

CRASH = tests.crash.points.__file__
STAYS, CHANGES, LEAVES, COMES = "orders.stays.0", "orders.changes.0", "orders.leaves.0", "orders.comes.0"
# a stride that meets every phase in a run of the suite; the real machines' test takes every point
STRIDE = 9


def one(version: str) -> TestRelease:
    return release_of(TestJob(name=STAYS), TestJob(name=CHANGES, version=version), TestJob(name=LEAVES))


def other(version: str) -> TestRelease:
    return release_of(TestJob(name=STAYS), TestJob(name=CHANGES, version=version), TestJob(name=COMES))


def test_an_activation_killed_anywhere_is_finished_by_the_next(worker: Worker) -> None:
    worker.activate(one("0"))
    stays = worker.observe()["units"][f"gitopsd-{STAYS}.service"]["main_pid"]
    point, killed = 1, 0
    while True:
        release = other(str(point)) if killed % 2 == 0 else one(str(point))
        body, payload = activation(release)
        done = worker.process("activate", worker.request(body, payload), ("-IB", CRASH, str(point)))
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        current = worker.observe()
        assert current["tree"] == current["release"], "no half release is ever current"
        answer = worker.activate(release)
        assert answer["failed"] == {}
        state = answer["observation"]
        assert state["release"] == state["tree"] == release.id
        assert state["interrupted"] is False
        jobs = {STAYS, CHANGES, COMES if killed % 2 == 0 else LEAVES}
        assert state["units"].keys() == {f"gitopsd-{job}.service" for job in jobs}
        assert {shown["active"] for shown in state["units"].values()} == {"active"}
        assert state["applied"].keys() == jobs
        assert worker.starts(CHANGES)[-1] == str(point), "what runs is what was asked for"
        assert state["units"][f"gitopsd-{STAYS}.service"]["main_pid"] == stays, "what did not change is not touched"
        again = worker.activate(release)
        assert sorted(again["unchanged"]) == sorted(jobs)
        killed += 1
        point += STRIDE
    assert killed >= 5
