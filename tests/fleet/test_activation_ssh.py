"""Reaching real machines: host keys, deadlines, users, jump hosts, faults of the network; many at once."""

from __future__ import annotations

import hashlib
import socket
import time
from typing import TYPE_CHECKING

import pytest

from gitopsd.agent.bundle import agent_script
from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import HostKeyMismatch, WorkerRefused, WorkerUnreachable
from gitopsd.fleet.fanout import Failed, Succeeded, fan_out
from tests.agent.releases import TestJob, release_of
from tests.fleet_ssh.on_machines import ROOT, activate, lines, settings_for, target_of, unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitopsd.fleet.target import Target
    from gitopsd.model.facts import Observation
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine
    from tests.fleet.machines import Fleet

A = "orders.a.0"
ONE = release_of(TestJob(name=A))


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    return fleet(3)


@pytest.fixture
def machine(machines: Fleet) -> Machine:
    return machines["worker-1"]


@pytest.fixture
def workers(machine: Machine) -> Iterator[Workers]:
    with Workers(settings_for(machine, connect_seconds=3.0, banner_seconds=3.0, auth_seconds=5.0)) as opened:
        yield opened


def agents(machine: Machine) -> list[str]:
    return [line for line in lines(machine, "ls", f"{ROOT}/agent") if line.endswith(".py")]


def test_another_host_key_is_refused_before_anything_is_sent(machines: Fleet, workers: Workers) -> None:
    first, second = machines["worker-1"], machines["worker-2"]
    with pytest.raises(HostKeyMismatch) as refused:
        verbs.observe(workers.connect(target_of(first, host_key=second.host_key)))
    error = refused.value
    assert error.stage == "host-key"
    assert error.expected != error.offered
    assert str(error.expected) in error.message
    assert str(error.offered) in error.message
    assert f'host_key: "{first.host_key}"' in error.message, "the line that would put it right"


def test_a_machine_without_a_host_key_in_the_fleet_file_is_refused_with_the_line_to_add(
    machine: Machine, workers: Workers
) -> None:
    with pytest.raises(HostKeyMismatch, match="has no host key") as refused:
        verbs.observe(workers.connect(target_of(machine, host_key=None)))
    assert refused.value.expected is None
    assert f'host_key: "{machine.host_key}"' in refused.value.message


def test_known_hosts_of_the_user_count_for_nothing(
    machine: Machine, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(f"{machine.address} {machine.host_key}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostKeyMismatch):
        verbs.observe(workers.connect(target_of(machine, host_key=None)))


def test_the_agent_is_sent_once_and_arrives_whole(machine: Machine, workers: Workers) -> None:
    machine.run(["rm", "-rf", ROOT])
    script = agent_script()
    with workers.connect(target_of(machine)) as connection:
        verbs.observe(connection)
        assert agents(machine) == [f"{script.sha256}.py"]
        before = lines(machine, "stat", "-c", "%i %Z", f"{ROOT}/agent/{script.sha256}.py")
        verbs.observe(connection)
        assert lines(machine, "stat", "-c", "%i %Z", f"{ROOT}/agent/{script.sha256}.py") == before
    sent = (machine.root / f"var/lib/gitopsd/agent/{script.sha256}.py").read_bytes()
    assert hashlib.sha256(sent).hexdigest() == script.sha256


def test_a_connection_is_kept_and_opened_again_when_it_broke(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        verbs.observe(connection)
        verbs.observe(connection)
        machine.run(["sh", "-c", "pkill -f '[s]shd: root' || true"])
        assert verbs.observe(connection).units == {}


def test_an_address_where_nobody_is_ends_at_the_deadline(machine: Machine, workers: Workers) -> None:
    start = time.monotonic()
    machine.cut_link()
    try:
        with pytest.raises(WorkerUnreachable) as refused:
            verbs.observe(workers.connect(target_of(machine)))
    finally:
        machine.restore_link()
    assert refused.value.stage == "connect"
    assert time.monotonic() - start < 30


def test_a_link_that_is_cut_midway_ends_at_the_deadline_and_the_next_call_reconnects(
    machine: Machine, workers: Workers
) -> None:
    with workers.connect(target_of(machine)) as connection:
        verbs.observe(connection)
        machine.cut_link()
        try:
            with pytest.raises(WorkerUnreachable) as refused:
                verbs.observe(connection, timeout=3.0)
        finally:
            machine.restore_link()
        assert refused.value.stage in ("exec", "read", "connect")
        assert verbs.observe(connection).interrupted is False


def test_a_machine_that_is_frozen_ends_at_the_banner(machine: Machine, workers: Workers) -> None:
    machine.pause()
    try:
        with pytest.raises(WorkerUnreachable) as refused:
            verbs.observe(workers.connect(target_of(machine)))
    finally:
        machine.resume()
    assert refused.value.stage == "banner"


def test_a_port_that_refuses_and_a_name_that_does_not_exist_are_told_apart(machine: Machine, workers: Workers) -> None:
    for stage, changes in (("refused", {"port": 23}), ("resolve", {"address": "no-such-host.invalid"})):
        with pytest.raises(WorkerUnreachable) as refused:
            verbs.observe(workers.connect(target_of(machine, **changes)))
        assert refused.value.stage == stage


def test_a_user_who_is_not_let_in_is_named(machine: Machine, workers: Workers) -> None:
    with pytest.raises(WorkerUnreachable, match="not let in as nobody") as refused:
        verbs.observe(workers.connect(target_of(machine, user="nobody")))
    assert refused.value.stage == "auth"
    assert ".." not in refused.value.message
    assert refused.value.message.count(machine.name) == 1


def test_a_machine_without_python_is_told_what_to_install(machine: Machine, workers: Workers) -> None:
    machine.run(["mv", "/usr/bin/python3", "/usr/bin/python3.away"])
    try:
        with pytest.raises(WorkerRefused, match="python3") as refused:
            verbs.probe(workers.connect(target_of(machine)))
    finally:
        machine.run(["mv", "/usr/bin/python3.away", "/usr/bin/python3"])
    assert refused.value.code == "no-python"


def _make_user(machine: Machine, name: str) -> None:
    home = f"/home/{name}"
    machine.run(["sh", "-c", f"id {name} >/dev/null 2>&1 || useradd --create-home --shell /bin/sh {name}"])
    machine.run(["install", "-d", "-m", "700", "-o", name, f"{home}/.ssh"])
    public = machine.client_key.with_name(machine.client_key.name + ".pub").read_text()
    machine.run(
        ["sh", "-c", f"cat > {home}/.ssh/authorized_keys; chown {name} {home}/.ssh/authorized_keys"], input=public
    )


def test_a_user_without_sudo_is_told_so(machine: Machine, workers: Workers) -> None:
    _make_user(machine, "guest")
    with workers.connect(target_of(machine)) as root:
        verbs.observe(root)
    with workers.connect(target_of(machine, user="guest")) as connection, pytest.raises(WorkerRefused) as refused:
        verbs.observe(connection)
    assert refused.value.code in ("no-sudo", "no-python")
    assert "sudo" in refused.value.message
    assert "bootstrap" not in refused.value.message


def test_an_ordinary_user_with_sudo_deploys(machine: Machine, workers: Workers) -> None:
    if machine.run(["sh", "-c", "command -v sudo"], check=False).returncode != 0:
        pytest.skip("needs the package sudo in the machines' base image")
    machine.run(["rm", "-rf", ROOT])
    _make_user(machine, "deploy")
    machine.run(
        ["sh", "-c", "cat > /etc/sudoers.d/deploy; chmod 440 /etc/sudoers.d/deploy"],
        input="deploy ALL=(root) NOPASSWD: ALL\n",
    )
    with workers.connect(target_of(machine, user="deploy")) as connection:
        assert verbs.probe(connection).user == "root"
        assert activate(connection, ONE).started == (A,)
        assert verbs.observe(connection).tree == ONE.id
        verbs.teardown(connection)


def test_a_worker_behind_a_jump_host_is_reached_through_it(
    machines: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump, behind = machines["worker-1"], machines["worker-2"]
    (tmp_path / ".ssh").mkdir(mode=0o700)
    known_hosts = tmp_path / ".ssh/known_hosts"
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = settings_for(jump, jump=f"root@{jump.address}")
    with Workers(settings) as workers, pytest.raises(WorkerUnreachable, match=r"jump host .*known_hosts"):
        verbs.observe(workers.connect(target_of(behind)))
    known_hosts.write_text(f"{jump.address} {jump.host_key}\n")
    with Workers(settings) as workers:
        with workers.connect(target_of(behind)) as connection:
            assert verbs.observe(connection).units == {}
            peer = lines(behind, "sh", "-c", "ss -Htn state established sport = :22 | awk '{print $4}'")
            assert any(jump.address in line for line in peer)
        with pytest.raises(HostKeyMismatch):
            verbs.observe(workers.connect(target_of(behind, host_key=jump.host_key)))


def test_the_users_ssh_configuration_gives_address_user_port_and_jump_host(
    machines: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump, behind = machines["worker-1"], machines["worker-3"]
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh/known_hosts").write_text(f"{jump.address} {jump.host_key}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config"
    config.write_text(
        f"Host edge\n  HostName {behind.address}\n  User root\n  Port 22\n  ProxyJump root@{jump.address}\n"
        f"Host *\n  IdentityFile {jump.client_key}\n"
    )
    with Workers(settings_for(jump, identity=(), config=str(config))) as workers:
        target = target_of(behind, address="edge", user=None, port=None)
        with workers.connect(target) as connection:
            assert verbs.probe(connection).user == "root"


def test_a_fan_out_keeps_failures_apart(machines: Fleet) -> None:
    targets = [target_of(machine) for machine in machines.values()]
    targets.append(target_of(machines["worker-1"], name="gone", port=23))
    targets.append(target_of(machines["worker-1"], name="imposter", host_key=machines["worker-2"].host_key))
    with Workers(settings_for(machines["worker-1"])) as workers:

        def look(target: Target) -> Observation:
            with workers.connect(target) as connection:
                return verbs.observe(connection)

        outcomes = {outcome.worker: outcome for outcome in fan_out(targets, look, deadline=60)}
    assert {name for name, outcome in outcomes.items() if isinstance(outcome, Succeeded)} == set(machines)
    gone, imposter = outcomes["gone"], outcomes["imposter"]
    assert isinstance(gone, Failed)
    assert isinstance(gone.error, WorkerUnreachable)
    assert isinstance(imposter, Failed)
    assert isinstance(imposter.error, HostKeyMismatch)


def test_a_full_disk_is_told_and_nothing_changes(fleet: StartFleet) -> None:
    small = fleet(1, data_size="2m")["worker-1"]
    with Workers(settings_for(small)) as workers, workers.connect(target_of(small)) as connection:
        activate(connection, ONE)
        big = release_of(TestJob(name=A, version="2"), extra={"jobs/orders.a.0/files/big": bytes(4_000_000)})
        with pytest.raises(WorkerRefused, match="free some space") as refused:
            activate(connection, big)
        assert refused.value.code == "no-space"
        state = verbs.observe(connection)
        assert state.release == state.tree == ONE.id
        assert state.units[unit(A)].active == "active"
        assert activate(connection, ONE).unchanged == (A,)


def test_small_packets_are_not_held_back(machine: Machine, workers: Workers) -> None:
    with workers.connect(target_of(machine)) as connection:
        verbs.observe(connection)
        transport = connection._session.transport  # type: ignore[attr-defined]
        assert transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
