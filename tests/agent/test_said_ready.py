"""Jobs of the runner under supervisor: ready when they say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.agent.releases import TestJob, release_of

if TYPE_CHECKING:
    from tests.agent.releases import TestRelease
    from tests.agent.worker import Worker

A = "orders.a.0"
UNIT = f"gitopsd-{A}.service"
REPORTING = {"runtime/runner/gitopsd/runner/waiting.py": b"# a runner that says when it is ready\n"}
BY_RUNNER = {"runner": {"role": "relay"}}


def unit(worker: Worker) -> dict[str, Any]:
    found: dict[str, Any] = worker.observe()["units"][UNIT]
    return found


def started(worker: Worker, release: TestRelease) -> str:
    """As what an activation leaves it."""
    return str(worker.activate(release)["observation"]["units"][UNIT]["active"])


def test_a_job_that_runs_counts_as_up_once_its_own_process_says_that_it_is_ready(worker: Worker) -> None:
    release = release_of(TestJob(name=A, settings=BY_RUNNER), extra=REPORTING)
    answer = worker.activate(release)
    assert (answer["started"], answer["pending"], answer["failed"]) == ([A], [A], {})
    report, pid = worker.run / "s" / f"{A}.json", unit(worker)["main_pid"]
    nonsense: list[Any] = [[], {}, {"pid": pid}]
    for said in ({"pid": pid, "ready": False}, {"pid": pid + 1, "ready": True}, *nonsense):
        report.write_text(json.dumps(said))
        assert unit(worker)["active"] == "activating", said
    assert worker.health(release, wait=0)["reasons"] == {A: "it has not said yet that it is ready"}
    report.write_text(json.dumps({"pid": pid, "ready": True}))
    assert unit(worker)["active"] == "active"
    assert worker.health(release, wait=0)["healthy"] == [A]


def test_a_job_that_can_say_nothing_counts_as_up_once_it_runs(worker: Worker) -> None:
    assert started(worker, release_of(TestJob(name=A), extra=REPORTING)) == "active", "a program of its own"
    asks_nothing = TestJob(name=A, version="2", settings=BY_RUNNER, ready={"kind": "none"})
    assert started(worker, release_of(asks_nothing, extra=REPORTING)) == "active"
    assert started(worker, release_of(TestJob(name=A, version="3", settings=BY_RUNNER))) == "active", "an old runner"
