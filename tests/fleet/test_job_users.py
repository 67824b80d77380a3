"""Jobs that run as a user of their own, beside those that run as gitopsd-job, with the units that are rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.compiler.render.unit import unit_text
from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from tests.agent.releases import TestJob, release_of
from tests.fleet_ssh.on_machines import ROOT, activate, active, lines, pids, settings_for, target_of, unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitopsd.fleet.connection import WorkerConnection
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

A, B, C, D = "orders.a.0", "orders.b.0", "orders.c.0", "orders.d.0"
SOCKETS = "/run/gitopsd/s"
OTHER = "orders"


@dataclass(frozen=True, kw_only=True)
class RenderedJob(TestJob):
    """With the unit that a blueprint's job would have."""

    __test__ = False

    def unit_text(self) -> str:
        settings = {"User": self.user} if self.user != "gitopsd-job" else {}
        return unit_text(self.name, kind=self.kind, notifies=True, directories=self.directories, settings=settings)


def job(name: str, *, user: str = "gitopsd-job", version: str = "1", **settings: Any) -> TestJob:
    return RenderedJob(name=name, user=user, version=version, settings=settings)


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    machine = fleet(1)["worker-1"]
    machine.run(["useradd", "--system", "--user-group", "--no-create-home", OTHER])
    return machine


@pytest.fixture
def worker(machine: Machine) -> Iterator[WorkerConnection]:
    with Workers(settings_for(machine)) as workers, workers.connect(target_of(machine)) as connection:
        yield connection
        verbs.teardown(connection)


def test_sockets_join_jobs_of_different_users_whoever_starts_last(machine: Machine, worker: WorkerConnection) -> None:
    listening = (job(A, socket=f"{SOCKETS}/a"), job(B, user=OTHER, socket=f"{SOCKETS}/b"))
    both = [f"{SOCKETS}/a", f"{SOCKETS}/b"]
    first = release_of(*listening, job(C, connect=both), job(D, user=OTHER, connect=both))
    result = activate(worker, first)
    assert result.failed == {}
    for changed in (job(D, user=OTHER, version="2", connect=both), job(C, version="2", connect=both)):
        before = pids(verbs.observe(worker))
        others = {C: job(C, connect=both), D: job(D, user=OTHER, connect=both), changed.name: changed}
        result = activate(worker, release_of(*listening, others[C], others[D]))
        assert result.failed == {}
        assert pids(result.observation)[unit(A)] == before[unit(A)]
    owners = lines(machine, "stat", "-c", "%U:%G %a", SOCKETS, *both)
    assert owners == ["gitopsd-job:gitopsd-job 2770", "gitopsd-job:gitopsd-job 660", f"{OTHER}:gitopsd-job 660"]


def test_a_worker_may_have_only_jobs_of_another_user(machine: Machine, worker: WorkerConnection) -> None:
    path = f"{SOCKETS}/b"
    jobs = (job(B, user=OTHER, socket=path), job(D, user=OTHER, connect=[path]))
    assert activate(worker, release_of(*jobs)).failed == {}
    assert lines(machine, "ps", "-o", "user=", "-p", str(pids(verbs.observe(worker))[unit(B)])) == [OTHER]
    assert lines(machine, "stat", "-c", "%U", f"{ROOT}/state/{B}") == [OTHER]


def test_directories_are_the_jobs_users(machine: Machine, worker: WorkerConnection) -> None:
    one = RenderedJob(name=A, user=OTHER, directories=("/srv/theirs",))
    assert activate(worker, release_of(one)).failed == {}
    assert lines(machine, "stat", "-c", "%U %a", "/srv/theirs") == [f"{OTHER} 755"]


def test_a_job_whose_user_is_missing_is_left_as_it_was(machine: Machine, worker: WorkerConnection) -> None:
    before = activate(worker, release_of(job(A), job(B)))
    result = activate(worker, release_of(job(A, user="nosuchuser", version="2"), job(B, version="2")))
    assert "its user nosuchuser does not exist on this worker" in result.failed[A].message
    assert result.restarted == (B,)
    assert pids(result.observation)[unit(A)] == pids(before.observation)[unit(A)]
    assert active(result.observation)[unit(A)] == "active"
    assert lines(machine, "id", "-u", "nosuchuser") == []
