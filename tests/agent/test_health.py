"""Health: by the units alone, and of the release that was asked about."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.agent.health import judge
from gitopsd.agent.release import Job, Ready
from gitopsd.agent.services import NOT_THERE
from tests.agent.releases import TestJob, release_of
from tests.agent.worker import Refused

if TYPE_CHECKING:
    from gitopsd.agent.services import Unit
    from tests.agent.worker import Worker

A, B = "orders.a.0", "orders.b.0"


def unit(active: str, **fields: Any) -> Unit:
    return NOT_THERE._replace(**{"active": active, "sub": "running", "invocation": "1", **fields})


def job(kind: str = "service") -> Job:
    return Job(A, kind, "digest", f"gitopsd-{A}.service", "restart", "gitopsd-job", (), Ready("notify"))


@pytest.mark.parametrize(
    ("now", "kind", "state"),
    [
        (unit("active"), "service", "healthy"),
        (unit("reloading"), "service", "healthy"),
        (unit("activating", sub="start"), "service", "pending"),
        (unit("deactivating", sub="stop-sigterm"), "service", "pending"),
        (unit("activating", sub="auto-restart", restarts=1, result="exit-code"), "service", "pending"),
        (unit("activating", sub="auto-restart", restarts=3, result="exit-code"), "service", "failed"),
        (unit("activating", sub="start", restarts=2, result="exit-code"), "service", "pending"),
        (unit("activating", sub="start", restarts=3, result="exit-code"), "service", "failed"),
        (unit("activating", sub="start", restarts=9), "service", "pending"),  # systemd: what ended is long ago
        (unit("failed", sub="failed", result="start-limit-hit"), "service", "failed"),
        (unit("inactive", sub="dead"), "service", "failed"),
        (NOT_THERE, "service", "failed"),
        (unit("activating", sub="start"), "message", "pending"),
        (unit("inactive", sub="dead"), "message", "failed"),
        (unit("inactive", sub="dead"), "once", "healthy"),
        (unit("activating", sub="start"), "once", "healthy"),
        (unit("failed", sub="failed", result="exit-code", exit_status=2), "once", "failed"),
    ],
)
def test_a_job_is_judged_by_its_unit(now: Unit, kind: str, state: str) -> None:
    verdict = judge(job(kind), {now and f"gitopsd-{A}.service": now}, 0.0)
    assert verdict.state == state
    assert bool(verdict.reason) == (state != "healthy")


def test_a_job_is_healthy_once_it_has_been_up_for_long_enough() -> None:
    now = unit("active", since=time.time() - 5)
    assert judge(job(), {f"gitopsd-{A}.service": now}, 4.0).state == "healthy"
    early = judge(job(), {f"gitopsd-{A}.service": now}, 8.0)
    assert early.state == "pending"
    assert 2.0 < early.again <= 3.0


def test_it_answers_once_all_have_been_up_for_the_time_asked(worker: Worker) -> None:
    release = release_of(TestJob(name=A), TestJob(name=B, kind="once"))
    worker.activate(release)
    found = worker.health(release, wait=0, min_healthy_time=300)
    assert (found["healthy"], found["pending"]) == ([B], [A])
    found = worker.health(release, wait=60, min_healthy_time=3)
    assert (found["healthy"], found["pending"], found["failed"]) == ([A, B], [], {})
    since = worker.observe()["units"][f"gitopsd-{A}.service"]["since"]
    assert time.time() - since >= 3


def test_a_job_that_keeps_ending_has_failed_with_its_last_words(worker: Worker) -> None:
    release = release_of(TestJob(name=A, settings={"exit": 1}), TestJob(name=B))
    worker.activate(release)
    found = worker.health(release, wait=60)
    assert (found["healthy"], list(found["failed"])) == ([B], [A])
    assert f"last words of {A}" in found["failed"][A]["log"]


def test_another_release_than_the_current_one_is_not_judged(worker: Worker) -> None:
    one, other = release_of(TestJob(name=A)), release_of(TestJob(name=A, version="2"))
    with pytest.raises(Refused, match="holds no release") as refused:
        worker.health(one)
    assert refused.value.code == "stale"
    worker.activate(one)
    with pytest.raises(Refused, match=f"not {other.id[:12]}") as refused:
        worker.health(other)
    assert refused.value.code == "stale"
