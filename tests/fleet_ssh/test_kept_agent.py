"""The agent that stays on a real machine: what becomes of requests when it, or the connection, goes away."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.planner.drift import is_bare
from tests.agent.releases import TestJob, release_of
from tests.fleet.fixtures import fleet, pytest_collection_modifyitems, pytest_runtest_setup
from tests.fleet_ssh.on_machines import ROOT, activate, lines, settings_for, starts, target_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

__all__ = ["fleet", "pytest_collection_modifyitems", "pytest_runtest_setup"]

A = "orders.a.0"
ONE = release_of(TestJob(name=A))
SERVING = "[a]gent/[0-9a-f]*.py serve"


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    return fleet(1)["worker-1"]


@pytest.fixture
def workers(machine: Machine) -> Iterator[Workers]:
    with Workers(settings_for(machine, connect_seconds=3.0, banner_seconds=3.0, auth_seconds=5.0)) as opened:
        yield opened


def agents(machine: Machine) -> list[str]:
    return lines(machine, "pgrep", "-f", SERVING)


def reload_sshd(machine: Machine) -> None:
    """It listens anew: for a moment nobody does."""
    machine.run(["systemctl", "reload", "ssh"])
    machine.wait_until_up()


def test_one_agent_serves_all_that_is_asked_and_ends_with_the_connection(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        activate(connection, ONE)
    (first,) = agents(machine)
    with workers.connect(target_of(machine)) as connection:
        assert verbs.observe(connection).tree == ONE.id
        assert activate(connection, ONE).unchanged == (A,)
        assert verbs.logs(connection, A).lines
    assert agents(machine) == [first]
    workers.close()
    until(lambda: agents(machine) == [])


def test_an_agent_that_was_killed_is_replaced(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        activate(connection, ONE)
        before = agents(machine)
        machine.run(["pkill", "-KILL", "-f", SERVING])
        until(lambda: agents(machine) == [])
        time.sleep(0.5)  # for the news to arrive
        assert activate(connection, ONE).unchanged == (A,)
        assert len(agents(machine)) == 1
        assert agents(machine) != before


def test_a_look_leaves_nothing_on_a_worker_that_was_torn_down(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        activate(connection, ONE)
        verbs.teardown(connection)
    before = lines(machine, "find", "/var/lib", "/run/gitopsd", "/tmp")
    with workers.connect(target_of(machine), only_looks=True) as connection:
        for _ in range(2):
            assert is_bare(verbs.observe(connection))
    assert lines(machine, "find", "/var/lib", "/run/gitopsd", "/tmp") == before
    with workers.connect(target_of(machine)) as connection:
        activate(connection, ONE)
    with workers.connect(target_of(machine), only_looks=True) as connection:
        assert verbs.observe(connection).tree == ONE.id
        assert len(agents(machine)) == 1, "the one that stays"
        verbs.teardown(connection)


def test_an_agent_whose_file_is_gone_is_sent_again(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        activate(connection, ONE)
        machine.run(["sh", "-c", f"rm -r {ROOT}/agent"])
        assert verbs.observe(connection).tree == ONE.id
        verbs.teardown(connection)
        assert lines(machine, "ls", ROOT) == []
        assert verbs.observe(connection).release is None


def test_a_server_that_allows_one_session_at_a_time_is_enough(machine: Machine, workers: Workers) -> None:
    machine.run(["sh", "-c", "echo 'MaxSessions 1' > /etc/ssh/sshd_config.d/one.conf"])
    reload_sshd(machine)
    try:
        machine.run(["rm", "-rf", ROOT])
        with workers.connect(target_of(machine)) as connection:
            activate(connection, ONE)
            assert verbs.observe(connection).tree == ONE.id
            stop = threading.Event()
            following = connection.follow(A, 5, stop)
            assert A in next(following)
            stop.set()
            following.close()  # type: ignore[attr-defined] # a generator
            assert verbs.observe(connection).tree == ONE.id
    finally:
        machine.run(["rm", "/etc/ssh/sshd_config.d/one.conf"])
        reload_sshd(machine)


def test_an_activation_goes_on_when_its_connection_is_lost(machine: Machine, workers: Workers) -> None:
    slow = release_of(TestJob(name=A, version="2", settings={"ready_after": 2}))
    with workers.connect(target_of(machine)) as connection:
        activate(connection, ONE)
        index, payload = slow.payload(ONE)
        manifest = [(entry.path, entry.mode, entry.blob) for entry in slow.entries]
        sent = ([(blob, size) for blob, size in index], payload)
        machine.run(["sh", "-c", "(sleep 1.5; pkill -KILL -f '[s]shd: root') >/dev/null 2>&1 &"])
        with suppress(WorkerUnreachable):  # where it wasn't quicker than the loss
            verbs.activate(connection, slow.id, manifest, sent, 30.0)
        until(lambda: verbs.observe(connection).release == slow.id)
        until(lambda: not verbs.observe(connection).busy)
    assert starts(machine, A)[-1] == "2"


def test_a_confirmation_comes_over_a_connection_of_its_own(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        verbs.observe(connection)
        established = "ss -Htn state established sport = :22 | wc -l"
        assert lines(machine, "sh", "-c", established) == ["1"]
        with workers.connect_anew(target_of(machine)) as anew:
            with pytest.raises(WorkerRefused):
                verbs.confirm(anew, "no-such-token", "0" * 40)
            assert lines(machine, "sh", "-c", established) == ["2"]
        until(lambda: lines(machine, "sh", "-c", established) == ["1"])
