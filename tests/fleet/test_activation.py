"""Activation on real systemd machines, over real sshd."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.compiler.render.unit import unit_text
from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerRefused
from gitopsd.model.facts import Owner
from gitopsd.model.secret import SecretValue
from tests.agent.releases import TestJob, release_of
from tests.fleet_ssh.on_machines import (
    ROOT,
    SYSTEM,
    activate,
    active,
    lines,
    pids,
    settings_for,
    starts,
    target_of,
    unit,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitopsd.fleet.connection import WorkerConnection
    from tests.agent.releases import TestRelease
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

A, B, C = "orders.a.0", "orders.b.0", "orders.c.0"
TWO = release_of(TestJob(name=A), TestJob(name=B))
HARDENING = ("Capability", "Lock", "Memory", "NoNew", "Private", "Protect", "Remove", "Restrict", "System", "UMask")
TWO_CHANGED = release_of(TestJob(name=A, version="2"), TestJob(name=B))


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    return fleet(1)["worker-1"]


@pytest.fixture(scope="module")
def workers(machine: Machine) -> Iterator[Workers]:
    with Workers(settings_for(machine)) as opened:
        yield opened


@pytest.fixture
def worker(machine: Machine, workers: Workers) -> Iterator[WorkerConnection]:
    with workers.connect(target_of(machine)) as connection:
        yield connection
        verbs.teardown(connection)


def fingerprint(machine: Machine) -> list[str]:
    """Inode and time of change of everything that an activation may write."""
    found = lines(machine, "find", SYSTEM, ROOT, "-not", "-path", "*/agent*", "-printf", "%p %i %C@\n")
    return [line for line in found if "/state/" not in line]


def test_a_fresh_machine_becomes_a_worker(machine: Machine, worker: WorkerConnection) -> None:
    facts = verbs.probe(worker)
    assert facts.problems == ()
    assert facts.features["python3"] == facts.python
    assert int(facts.features["systemd"]) >= 247
    assert verbs.observe(worker).release is None
    result = activate(worker, TWO)
    assert (result.started, result.failed, result.daemon_reload) == ((A, B), {}, True)
    state = result.observation
    assert state.release == state.tree == TWO.id
    assert active(state) == {unit(A): "active", unit(B): "active"}
    assert all(shown.enabled and shown.blob for shown in state.units.values())
    assert lines(machine, "systemctl", "is-enabled", unit(A), unit(B)) == ["enabled", "enabled"]
    assert lines(machine, "ps", "-o", "user=", "-p", str(state.units[unit(A)].main_pid)) == ["gitopsd-job"]


def test_a_second_activation_touches_nothing(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, TWO)
    before, state = fingerprint(machine), verbs.observe(worker)
    reloads = lines(machine, "systemctl", "show", "-p", "UnitsReloadTimestampMonotonic")
    result = activate(worker, TWO)
    assert result.unchanged == (A, B)
    assert not result.started + result.restarted + result.stopped
    assert result.daemon_reload is False
    assert fingerprint(machine) == before
    assert lines(machine, "systemctl", "show", "-p", "UnitsReloadTimestampMonotonic") == reloads
    assert pids(result.observation) == pids(state)


def test_only_the_job_that_changed_is_restarted_and_systemd_is_not_reloaded(worker: WorkerConnection) -> None:
    before = pids(activate(worker, TWO).observation)
    result = activate(worker, TWO_CHANGED, TWO)
    assert (result.restarted, result.unchanged, result.daemon_reload) == ((A,), (B,), False)
    after = pids(result.observation)
    assert after[unit(B)] == before[unit(B)]
    assert after[unit(A)] != before[unit(A)]


def test_a_changed_unit_is_reloaded_once_and_restarts_its_job_only(worker: WorkerConnection) -> None:
    before = pids(activate(worker, TWO).observation)
    changed = release_of(TestJob(name=A, unit_lines=("MemoryMax=128M",)), TestJob(name=B))
    result = activate(worker, changed, TWO)
    assert (result.restarted, result.daemon_reload) == ((A,), True)
    assert pids(result.observation)[unit(B)] == before[unit(B)]


def test_a_job_that_left_the_release_is_gone(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, TWO)
    result = activate(worker, release_of(TestJob(name=B)))
    assert result.stopped == (A,)
    assert list(result.observation.units) == [unit(B)]
    assert lines(machine, "systemctl", "show", "-p", "LoadState", unit(A)) == ["LoadState=not-found"]
    assert not [line for line in fingerprint(machine) if unit(A) in line and "/releases/" not in line]


def test_a_hot_edited_file_is_seen_and_healed(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, TWO)
    machine.run(["sh", "-c", f"echo edited >> {ROOT}/current/jobs/{A}/job.json"])
    state = verbs.observe(worker)
    assert state.tree != state.release == TWO.id
    known = {(entry.path, entry.mode, entry.blob) for entry in TWO.entries}
    assert [found.path for found in state.files if (found.path, found.mode, found.blob) not in known] == [
        f"jobs/{A}/job.json"
    ]
    result = activate(worker, TWO)
    assert (result.restarted, result.unchanged) == ((A,), (B,))
    assert result.observation.tree == TWO.id


@pytest.mark.parametrize(
    "drift",
    [
        ["systemctl", "stop", unit(A)],
        ["systemctl", "disable", unit(A)],
        ["sh", "-c", f"rm {SYSTEM}/{unit(A)} && systemctl mask {unit(A)}"],
        ["sh", "-c", f"rm {SYSTEM}/{unit(A)} && systemctl daemon-reload"],
        ["sh", "-c", f"echo Nice=5 >> {SYSTEM}/{unit(A)}"],
        ["sh", "-c", f"sed -i s/Restart=always/Restart=no/ {SYSTEM}/{unit(A)} && systemctl daemon-reload"],
        ["sh", "-c", f"mkdir {SYSTEM}/{unit(A)}.d && printf '[Service]\nNice=5\n' > {SYSTEM}/{unit(A)}.d/x.conf"],
        [
            "sh",
            "-c",
            f"cp {SYSTEM}/{unit(A)} {SYSTEM}/gitopsd-orders.stray.0.service && systemctl start gitopsd-orders.stray.0",
        ],
    ],
    ids=["stopped", "disabled", "masked", "deleted", "edited", "edited-and-read", "drop-in", "orphan"],
)
def test_drift_is_seen_and_healed(machine: Machine, worker: WorkerConnection, drift: list[str]) -> None:
    wanted = activate(worker, TWO).observation
    machine.run(drift)
    seen = verbs.observe(worker)
    assert seen.units.keys() != wanted.units.keys() or any(
        (shown.active, shown.enabled, shown.blob, shown.drop_ins)
        != (wanted.units[name].active, True, wanted.units[name].blob, ())
        for name, shown in seen.units.items()
    )
    healed = activate(worker, TWO)
    assert healed.failed == {}
    state = healed.observation
    assert active(state) == {unit(A): "active", unit(B): "active"}
    assert all(shown.enabled and not shown.drop_ins for shown in state.units.values())
    assert {name: shown.blob for name, shown in state.units.items()} == {
        name: shown.blob for name, shown in wanted.units.items()
    }
    assert state.units[unit(B)].main_pid == wanted.units[unit(B)].main_pid
    assert lines(machine, "systemctl", "show", "-p", "Nice", "-p", "Restart", unit(A)) == ["Restart=always", "Nice=0"]
    assert activate(worker, TWO).unchanged == (A, B)


def test_a_job_that_does_not_come_up_is_reported_and_the_others_go_on(worker: WorkerConnection) -> None:
    release = release_of(TestJob(name=A, settings={"exit": 3}), TestJob(name=B))
    result = activate(worker, release)
    assert result.started == (B,)
    assert "exit code 3" in result.failed[A].message
    assert f"last words of {A}" in result.failed[A].log
    assert A not in result.observation.applied


def test_a_job_that_is_slow_is_pending_and_is_not_started_again_once_it_is_up(
    machine: Machine, worker: WorkerConnection
) -> None:
    release = release_of(TestJob(name=A, settings={"held": True}), TestJob(name=B))
    result = activate(worker, release)
    assert (result.started, result.pending, result.failed) == ((A, B), (A,), {})
    assert result.observation.units[unit(A)].active == "activating"
    early = verbs.health(worker, release.id, wait=0)
    assert (early.healthy, early.pending) == ((B,), (A,))
    assert "not said yet that it is ready" in early.reasons[A]
    machine.run(["touch", f"{ROOT}/state/{A}/let-go"])
    assert verbs.health(worker, release.id, wait=30).healthy == (A, B)
    assert activate(worker, release).unchanged == (A, B)
    assert starts(machine, A) == ["1"]


def test_a_job_that_takes_its_time_to_end_is_pending_and_restarted_once(
    machine: Machine, worker: WorkerConnection
) -> None:
    slow = ("ExecStop=/bin/sleep 6",)
    activate(worker, release_of(TestJob(name=A, unit_lines=slow)))
    changed = release_of(TestJob(name=A, version="2", unit_lines=slow))
    result = activate(worker, changed)
    assert (result.restarted, result.pending, result.failed) == ((A,), (A,), {})
    assert verbs.health(worker, changed.id, wait=30).healthy == (A,)
    assert activate(worker, changed).unchanged == (A,)
    assert starts(machine, A) == ["1", "2"]


def test_ports_are_asked_and_one_that_stays_silent_keeps_its_job_alone_from_being_healthy(
    machine: Machine, worker: WorkerConnection
) -> None:
    url = "http://127.0.0.1:7002/ready"
    release = release_of(
        TestJob(name=A, ready={"kind": "tcp", "port": 7001}),
        TestJob(name=B, ready={"kind": "http", "url": url}, settings={"listen": 7002, "answer": "503 Busy"}),
        TestJob(name=C, ready={"kind": "tcp", "port": 7003}, settings={"listen": 7003, "held": True}),
    )
    result = activate(worker, release)
    assert (result.started, result.pending, result.failed) == ((A, B, C), (A, B, C), {})
    assert result.observation.applied.keys() == {A, B, C}
    threading.Timer(1.0, machine.run, [["touch", f"{ROOT}/state/{C}/let-go"]]).start()
    found = verbs.health(worker, release.id, wait=8)
    assert (found.healthy, found.pending) == ((C,), (A, B))
    assert found.reasons == {
        A: "it does not answer on 127.0.0.1:7001",
        B: f"it answers {url} with status 503",
    }


def test_a_reload_reaches_the_running_process(machine: Machine, worker: WorkerConnection) -> None:
    rendered = unit_text(A, kind="service", notifies=True, directories=(), settings={}, on_change="reload").splitlines()
    assert "ExecReload=/bin/kill -HUP $MAINPID" in rendered

    def release(version: str) -> TestRelease:
        # what sends the signal is run in the unit's sandbox
        sandbox = tuple(line for line in rendered if line.startswith(HARDENING))
        handles = TestJob(name=A, version=version, on_change="reload", settings={"reloads": True}, unit_lines=sandbox)
        return release_of(handles, TestJob(name=B, version=version, on_change="reload"))

    before = pids(activate(worker, release("1")).observation)
    result = activate(worker, release("2"))
    assert (result.reloaded, result.daemon_reload) == ((A,), False)
    assert "must handle that signal" in result.failed[B].message
    assert pids(result.observation)[unit(A)] == before[unit(A)]
    assert lines(machine, "cat", f"{ROOT}/state/{A}/reloads") == ["1"]
    assert result.observation.applied.keys() == {A}


def checked(version: str, *, secrets: tuple[str, ...] = (), **settings: Any) -> TestRelease:
    """A job whose unit is as it is rendered, and whose program checks its files."""
    rendered = unit_text(A, kind="service", notifies=True, directories=(), settings={}, secrets=secrets).splitlines()
    sandbox = tuple(line for line in rendered if line.startswith(HARDENING))
    settings = {"validate": ["engine"], "says": "fine", "refuses": 0, **settings}
    job = TestJob(name=A, version=version, validates=True, secrets=secrets, unit_lines=sandbox, settings=settings)
    return release_of(job, TestJob(name=B, version=version))


def test_what_a_jobs_program_refuses_is_not_activated(machine: Machine, worker: WorkerConnection) -> None:
    before = activate(worker, checked("1")).observation
    user = lines(machine, "id", "-u", "gitopsd-job")[0]
    with pytest.raises(WorkerRefused, match="refuses its files") as refused:
        activate(worker, checked("2", says="as {user} in {state}", refuses=1))
    assert refused.value.code == "invalid"
    assert f"  as {user} in /tmp\n" in str(refused.value)
    after = verbs.observe(worker)
    assert (after.release, pids(after)) == (before.release, pids(before))
    assert activate(worker, checked("3")).restarted == (A, B)


def test_what_checks_files_is_confined_as_the_job_is_and_can_write_nowhere(
    machine: Machine, worker: WorkerConnection
) -> None:
    for path in (f"{ROOT}/planted", "/srv/planted", "/run/planted"):
        with pytest.raises(WorkerRefused, match=r"Read-only file system|Permission denied"):
            activate(worker, checked("1", writes_to=[path]))
    assert activate(worker, checked("2", writes_to=["/tmp/planted"])).failed == {}
    assert lines(machine, "ls", "/tmp/planted") == []
    assert [line for line in lines(machine, "ls", "/run", "/run/systemd/system") if "gitopsd-check" in line] == []
    assert lines(machine, "systemctl", "list-units", "--all", "--plain", "--no-legend", "gitopsd-check*") == []


def test_what_checks_files_sees_the_secrets_that_the_job_will_have_and_they_are_masked(
    machine: Machine, worker: WorkerConnection
) -> None:
    activate(worker, checked("1", secrets=("token",)), secrets={"token": SecretValue(b"the first one")})
    release = checked("2", secrets=("token",), says="token is {secret}!", refuses=1)
    with pytest.raises(WorkerRefused, match="refuses its files") as refused:
        activate(worker, release, secrets={"token": SecretValue(b"the second one")})
    assert "token is [secret]!" in str(refused.value)
    assert lines(machine, "cat", f"{ROOT}/credentials/current/{A}/token") == ["the first one"]
    assert len(lines(machine, "ls", f"{ROOT}/credentials/sets")) == 1


def test_what_takes_too_long_to_check_files_is_ended(machine: Machine, worker: WorkerConnection) -> None:
    with pytest.raises(WorkerRefused, match="gave no answer in time"):
        activate(worker, checked("1", check_seconds=600), deadline=3.0)
    until(lambda: lines(machine, "pgrep", "-f", f"launch.py {A} check") == [])


def test_a_unit_that_systemd_refuses_fails_alone(worker: WorkerConnection) -> None:
    release = release_of(TestJob(name=A, user="nosuchuser"), TestJob(name=B), TestJob(name=C, unit_lines=("Type=",)))
    result = activate(worker, release)
    assert "nosuchuser" in result.failed[A].message
    assert B in result.started


def test_quick_deployments_do_not_run_into_the_start_limit(worker: WorkerConnection) -> None:
    activate(worker, TWO)
    for version in range(10, 22):
        release = release_of(TestJob(name=A, version=str(version)), TestJob(name=B))
        result = activate(worker, release)
        assert (result.restarted, result.failed) == ((A,), {}), version


def test_a_job_that_runs_once_is_not_run_again_until_it_changes(machine: Machine, worker: WorkerConnection) -> None:
    release = release_of(TestJob(name=C, kind="once"))
    activate(worker, release)
    until(lambda: verbs.observe(worker).completed == (C,))
    assert activate(worker, release).unchanged == (C,)
    assert starts(machine, C) == ["1"]
    changed = release_of(TestJob(name=C, kind="once", version="2"))
    activate(worker, changed, release)
    until(lambda: verbs.observe(worker).completed == (C,))
    assert starts(machine, C) == ["1", "2"]


def test_directories_of_jobs_are_made_for_their_user(machine: Machine, worker: WorkerConnection) -> None:
    job = TestJob(
        name=A, directories=("/srv/orders/out",), unit_lines=("ProtectSystem=strict", "ReadWritePaths=/srv/orders/out")
    )
    assert activate(worker, release_of(job)).failed == {}
    assert lines(machine, "stat", "-c", "%U %a", "/srv/orders", "/srv/orders/out") == ["root 755", "gitopsd-job 755"]


def test_hardening_directives_work(machine: Machine, worker: WorkerConnection) -> None:
    directives = (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "SystemCallFilter=@system-service",
        "MemoryMax=128M",
        "CapabilityBoundingSet=",
    )
    result = activate(worker, release_of(TestJob(name=A, unit_lines=directives)))
    assert result.failed == {}
    status = lines(machine, "cat", f"/proc/{pids(result.observation)[unit(A)]}/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status


def test_another_artifact_branch_is_refused(machine: Machine, worker: WorkerConnection, workers: Workers) -> None:
    activate(worker, TWO)
    other = Owner(root_commit="b" * 40, environment="staging")
    with workers.connect(target_of(machine, owner=other)) as stranger:
        for call in (
            lambda: verbs.observe(stranger),
            lambda: activate(stranger, TWO_CHANGED),
            lambda: verbs.teardown(stranger),
        ):
            with pytest.raises(WorkerRefused, match="environment production") as refused:
                call()
            assert refused.value.code == "owned-by-another"
    assert verbs.observe(worker).release == TWO.id


def test_jobs_run_again_after_a_reboot_and_need_no_activation(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, release_of(TestJob(name=A), TestJob(name=C, kind="once")))
    until(lambda: verbs.observe(worker).completed == (C,))
    machine.reboot()
    state = verbs.observe(worker)
    assert active(state) == {unit(A): "active", unit(C): "inactive"}
    assert state.interrupted is False
    assert starts(machine, C) == ["1"]
    result = activate(worker, release_of(TestJob(name=A), TestJob(name=C, kind="once")))
    assert result.unchanged == (A, C)


def test_teardown_leaves_nothing_and_touches_nothing_else(machine: Machine, worker: WorkerConnection) -> None:
    machine.run(["sh", "-c", f"printf '[Service]\nExecStart=/bin/sleep 1000\n' > {SYSTEM}/gitopsd-backup.service"])
    machine.run(["systemctl", "start", "gitopsd-backup.service"])
    before = lines(machine, "systemctl", "list-units", "--plain", "--no-legend", "--type=service", "--state=running")
    files = lines(machine, "find", SYSTEM, "-printf", "%p %l\n")
    activate(worker, release_of(TestJob(name=A), TestJob(name=B, settings={"exit": 1}), TestJob(name=C, kind="once")))
    verbs.teardown(worker)
    assert (
        lines(machine, "systemctl", "list-units", "--plain", "--no-legend", "--type=service", "--state=running")
        == before
    )
    assert lines(machine, "find", SYSTEM, "-printf", "%p %l\n") == files
    assert lines(machine, "ls", "-d", ROOT, "/run/gitopsd") == []
    assert lines(machine, "systemctl", "list-units", "--all", "--plain", "--no-legend", "gitopsd-orders*") == []
    assert lines(machine, "pgrep", "-u", "gitopsd-job") == []
    machine.run(
        ["sh", "-c", f"systemctl stop gitopsd-backup; rm {SYSTEM}/gitopsd-backup.service; systemctl daemon-reload"]
    )
