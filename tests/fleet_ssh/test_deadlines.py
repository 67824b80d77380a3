"""Real TCP peers that hang at one stage each: the call ends at its deadline, names the stage, and holds up nobody."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, get_args

import msgspec
import paramiko
import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerUnreachable
from gitopsd.fleet.fanout import Failed, Succeeded, fan_out
from gitopsd.fleet.target import SshSettings, Target
from tests.fleet_ssh.peers import HangsAt, peer_that_hangs_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitopsd.fleet.errors import Stage
    from tests.fleet_ssh.peers import Peer

STAGES: dict[HangsAt, Stage] = {
    "banner": "banner",
    "exchange": "banner",
    "auth": "auth",
    "session": "exec",
    "exec": "exec",
    "read": "read",
    "answer": "read",
}


def test_every_stage_has_a_case() -> None:
    assert {*STAGES, "never"} == set(get_args(HangsAt))


@pytest.fixture
def settings(tmp_path: Path) -> SshSettings:
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    return SshSettings(identity=(str(tmp_path / "key"),), config="/dev/null")


def in_a_hurry(settings: SshSettings, hangs_at: HangsAt) -> SshSettings:
    """At the stage that hangs; those before it may take what they take on a busy machine."""
    match hangs_at:
        case "banner" | "exchange":
            return msgspec.structs.replace(settings, banner_seconds=1.0)
        case "auth":
            return msgspec.structs.replace(settings, auth_seconds=1.0)
        case _:
            return settings


@pytest.fixture
def answering() -> Iterator[Peer]:
    with peer_that_hangs_at("never") as peer:
        yield peer


def target_of(peer: Peer, name: str = "edge-1") -> Target:
    return Target(name=name, address="127.0.0.1", port=peer.port, user="root", host_key=peer.host_key_line)


@pytest.mark.parametrize("hangs_at", STAGES)
def test_a_worker_that_hangs_is_given_up_at_the_deadline_and_the_stage_is_named(
    hangs_at: HangsAt, settings: SshSettings
) -> None:
    with peer_that_hangs_at(hangs_at) as peer, Workers(in_a_hurry(settings, hangs_at)) as workers:
        start = time.monotonic()
        with workers.connect(target_of(peer)) as connection, pytest.raises(WorkerUnreachable) as caught:
            connection.call("logs", {"job": "orders.a.0", "lines": 1}, timeout=4.0)
        assert time.monotonic() - start < 20, "its deadlines add up to four seconds"
        assert caught.value.stage == STAGES[hangs_at]


@pytest.mark.parametrize("hangs_at", STAGES)
def test_so_is_one_over_a_connection_of_its_own(hangs_at: HangsAt, settings: SshSettings) -> None:
    with peer_that_hangs_at(hangs_at) as peer, Workers(in_a_hurry(settings, hangs_at)) as workers:
        start = time.monotonic()
        with workers.connect_anew(target_of(peer)) as connection, pytest.raises(WorkerUnreachable) as caught:
            connection.call("prune", {}, timeout=4.0)
        assert time.monotonic() - start < 20
        assert caught.value.stage == STAGES[hangs_at]


def test_what_may_have_been_begun_is_not_asked_again(settings: SshSettings) -> None:
    with peer_that_hangs_at("read") as peer, Workers(settings) as workers:
        with workers.connect(target_of(peer)) as connection, pytest.raises(WorkerUnreachable) as caught:
            connection.call("activate", {}, b"x" * 100, timeout=4.0)
        assert "was begun" in caught.value.message
        assert len(peer.requests) == 1


def test_workers_that_hang_hold_up_no_other(settings: SshSettings, answering: Peer) -> None:
    hanging = [peer_that_hangs_at(stage) for stage in STAGES]
    peers = [one.__enter__() for one in hanging]
    try:
        targets = [target_of(peer, peer.hangs_at) for peer in peers]
        targets += [target_of(answering, f"fine-{number}") for number in range(5)]
        with Workers(settings) as workers:

            def look(target: Target) -> tuple[str, ...]:
                with workers.connect(target) as connection:
                    return verbs.logs(connection, "orders.a.0").lines

            first: list[str] = []
            outcomes = fan_out(targets, look, deadline=8.0)
            for _ in range(5):
                outcome = next(outcomes)
                assert isinstance(outcome, Succeeded), outcome
                first.append(outcome.worker)
            assert all(name.startswith("fine") for name in first)
            rest = list(outcomes)
        assert {outcome.worker for outcome in rest} == set(STAGES)
        assert all(isinstance(outcome, Failed) for outcome in rest)
    finally:
        for one in hanging:
            one.__exit__(None, None, None)


def test_closing_ends_calls_that_hang(settings: SshSettings) -> None:
    with peer_that_hangs_at("read") as peer:
        workers = Workers(settings)
        ended = threading.Event()

        def ask() -> None:
            with workers.connect(target_of(peer)) as connection, pytest.raises(WorkerUnreachable):
                connection.call("activate", {}, timeout=60)
            ended.set()

        threading.Thread(target=ask, daemon=True).start()
        end = time.monotonic() + 20
        while not peer.requests and time.monotonic() < end:
            time.sleep(0.05)
        assert peer.requests
        workers.close()
        assert ended.wait(10)


def test_a_jump_host_that_hangs_holds_up_those_behind_it_alone(settings: SshSettings, answering: Peer) -> None:
    with peer_that_hangs_at("banner") as jump, Workers(settings) as workers:
        config = SshSettings(
            identity=settings.identity,
            connect_seconds=2.0,
            banner_seconds=2.0,
            auth_seconds=1.0,
            config="/dev/null",
            jump=f"root@127.0.0.1:{jump.port}",
        )
        with Workers(config) as behind:

            def look(target: Target) -> tuple[str, ...]:
                through = behind if target.name.startswith("behind") else workers
                with through.connect(target) as connection:
                    return verbs.logs(connection, "orders.a.0").lines

            targets = [target_of(answering, f"behind-{number}") for number in range(6)]
            targets.append(target_of(answering, "fine"))
            start = time.monotonic()
            outcomes = {outcome.worker: outcome for outcome in fan_out(targets, look, deadline=30)}
            assert time.monotonic() - start < 10, "all that wait for one jump host learn at once that it hangs"
        assert isinstance(outcomes.pop("fine"), Succeeded)
        for outcome in outcomes.values():
            assert isinstance(outcome, Failed)
            assert isinstance(outcome.error, WorkerUnreachable)
            assert outcome.error.stage == "jump"
            assert "jump host" in outcome.error.message


def test_an_idle_connection_is_asked_whether_it_is_there_before_it_is_used(
    settings: SshSettings, answering: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitopsd.fleet.served._QUIET_SECONDS", 0.0)
    monkeypatch.setattr("gitopsd.fleet.served._PING_SECONDS", 1.0)
    with Workers(settings) as workers:
        with workers.connect(target_of(answering)) as connection:
            verbs.logs(connection, "orders.a.0")
        answering.hangs_at = "read"  # the kept connection is dead, in silence
        answered = len(answering.requests)
        with workers.connect(target_of(answering)) as connection, pytest.raises(WorkerUnreachable):
            connection.call("activate", {}, timeout=5.0)
        sent = answering.requests[answered:]
        assert b'"ping"' in sent[0]
        assert sum(b'"activate"' in line for line in sent) == 1


def test_a_kept_connection_serves_the_next_who_asks(settings: SshSettings, answering: Peer) -> None:
    with Workers(settings) as workers:
        for _ in range(3):
            with workers.connect(target_of(answering)) as connection:
                assert verbs.logs(connection, "orders.a.0").lines == ("hello",)
        assert (answering.connections, len(answering.served)) == (1, 1)
        with workers.connect_anew(target_of(answering)) as connection:
            verbs.logs(connection, "orders.a.0")
        assert (answering.connections, len(answering.served)) == (2, 2)
        with workers.connect(target_of(answering)) as connection, workers.connect(target_of(answering)) as other:
            verbs.logs(connection, "orders.a.0")
            verbs.logs(other, "orders.a.0")
        assert answering.connections == 3, "one that is in use is nobody else's"


def test_no_thread_and_no_connection_outlives_its_workers(settings: SshSettings, answering: Peer) -> None:
    before = threading.active_count()
    with Workers(settings) as workers:
        for number in range(10):
            with workers.connect(target_of(answering, f"edge-{number}")) as connection:
                verbs.logs(connection, "orders.a.0")
        assert answering.connections == 10
    end = time.monotonic() + 10
    while _transports() and time.monotonic() < end:
        time.sleep(0.05)
    assert _transports() == 0, f"{before} threads before"


def _transports() -> int:
    """Threads of our side's connections."""
    return sum(isinstance(thread, paramiko.Transport) and not thread.server_mode for thread in threading.enumerate())
