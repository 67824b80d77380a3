"""Scheduled jobs on a real systemd machine: their timers are kept, their runs are left alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from tests.agent.releases import TestJob, release_of
from tests.fleet_ssh.on_machines import (
    ROOT,
    SYSTEM,
    activate,
    lines,
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

A, B = "orders.a.0", "orders.b.0"
TIMER = f"gitopsd-{A}.timer"
OFTEN = "*-*-* *:*:0/2"
HOUR = (time.gmtime().tm_hour + 12) % 24  # never near now, whenever this runs
NIGHTLY = f"*-*-* {HOUR:02}:00:00"


def scheduled(calendar: str, version: str = "1", *others: TestJob, **settings: object) -> TestRelease:
    job = TestJob(
        name=A, kind="schedule", schedule=calendar, version=version, ready={"kind": "none"}, settings=settings
    )
    return release_of(job, *others)


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
        assert lines(machine, "find", SYSTEM, "/var/lib/systemd/timers", "-name", "*gitopsd-orders*") == []


def test_a_scheduled_job_waits_for_its_time_and_its_timer_starts_at_boot(
    machine: Machine, worker: WorkerConnection
) -> None:
    release = scheduled(NIGHTLY, "1", TestJob(name=B))
    result = activate(worker, release)
    assert (result.started, result.failed) == ((A, B), {})
    timer = result.observation.units[TIMER]
    assert (timer.active, timer.enabled) == ("active", True)
    assert result.observation.units[unit(A)].active == "inactive"
    assert timer.next_run is not None
    assert 0 < timer.next_run - time.time() <= 86400
    assert time.gmtime(timer.next_run)[3:6] == (HOUR, 0, 0)
    assert timer.last_run is None
    assert lines(machine, "systemctl", "is-enabled", TIMER, unit(A)) == ["enabled", "static"]
    assert starts(machine, A) == []
    again = activate(worker, release)
    assert (again.unchanged, again.daemon_reload) == ((A, B), False)


def test_runs_follow_the_calendar_and_a_run_under_way_ends_as_it_began(
    machine: Machine, worker: WorkerConnection
) -> None:
    slow = scheduled(OFTEN, "1", held=True)
    activate(worker, slow)
    until(lambda: verbs.observe(worker).units[unit(A)].active == "activating")
    pid = verbs.observe(worker).units[unit(A)].main_pid
    result = activate(worker, scheduled(OFTEN, "2"), slow)
    assert (result.unchanged, result.restarted, result.failed, result.daemon_reload) == ((A,), (), {}, False)
    under_way = result.observation.units[unit(A)]
    assert (under_way.active, under_way.main_pid) == ("activating", pid)
    machine.run(["touch", f"{ROOT}/state/{A}/let-go"])
    until(lambda: starts(machine, A)[-1] == "2")
    seen = verbs.observe(worker)
    assert seen.units[unit(A)].result == "success"
    assert seen.units[TIMER].last_run is not None
    assert f"starting {A} 2" in verbs.logs(worker, A, 20).lines


def test_a_new_calendar_counts_from_its_deployment_and_nothing_is_made_up_for(
    machine: Machine, worker: WorkerConnection
) -> None:
    before = scheduled(NIGHTLY)
    activate(worker, before)
    # as if it had run two hours ago: at any minute since then the new calendar would have run it once more
    stamp = f"/var/lib/systemd/timers/stamp-{TIMER}"
    machine.run(["systemctl", "stop", TIMER])
    machine.run(["touch", "-d", "2 hours ago", stamp])
    machine.run(["systemctl", "start", TIMER])
    now = time.gmtime()
    changed = scheduled(f"*-*-* *:{(now.tm_min + 30) % 60:02}:00")
    result = activate(worker, changed, before)
    assert (result.restarted, result.failed, result.daemon_reload) == ((A,), {}, True)
    timer = result.observation.units[TIMER]
    assert timer.next_run is not None
    assert 0 < timer.next_run - time.time() <= 3600
    time.sleep(2)
    assert starts(machine, A) == []


def test_a_run_that_failed_is_seen_and_not_repeated_out_of_schedule(machine: Machine, worker: WorkerConnection) -> None:
    release = scheduled(OFTEN, exit=3)
    activate(worker, release)
    until(lambda: verbs.observe(worker).units[unit(A)].active == "failed")
    nightly = scheduled(NIGHTLY, exit=3)
    result = activate(worker, nightly, release)
    assert result.failed == {}
    assert result.observation.units[unit(A)].result == "exit-code"
    runs = len(starts(machine, A))
    again = activate(worker, nightly)
    assert (again.unchanged, again.failed) == ((A,), {})
    assert again.observation.units[unit(A)].active == "failed"
    assert len(starts(machine, A)) == runs
    assert f"last words of {A}" in verbs.logs(worker, A, 20).lines


@pytest.mark.parametrize(
    "drift",
    [
        ["systemctl", "stop", TIMER],
        ["systemctl", "disable", TIMER],
        ["sh", "-c", f"rm {SYSTEM}/{TIMER} && systemctl daemon-reload"],
        ["sh", "-c", f"sed -i s/:00:00/:30:00/ {SYSTEM}/{TIMER} && systemctl daemon-reload"],
        ["sh", "-c", f"mkdir {SYSTEM}/{TIMER}.d && printf '[Timer]\nOnCalendar=daily\n' > {SYSTEM}/{TIMER}.d/x.conf"],
        ["sh", "-c", f"rm {SYSTEM}/{unit(A)} && systemctl daemon-reload"],
    ],
    ids=["stopped", "disabled", "deleted", "edited", "drop-in", "service-deleted"],
)
def test_a_timer_that_was_touched_is_healed(machine: Machine, worker: WorkerConnection, drift: list[str]) -> None:
    release = scheduled(NIGHTLY)
    wanted = activate(worker, release).observation
    machine.run(drift)
    healed = activate(worker, release)
    assert healed.failed == {}
    timer = healed.observation.units[TIMER]
    assert (timer.active, timer.enabled, timer.drop_ins) == ("active", True, ())
    assert {name: shown.blob for name, shown in healed.observation.units.items()} == {
        name: shown.blob for name, shown in wanted.units.items()
    }
    assert timer.next_run == wanted.units[TIMER].next_run
    assert starts(machine, A) == []
    assert activate(worker, release).unchanged == (A,)


def test_kinds_change_into_each_other_and_what_belongs_to_the_old_one_goes(
    machine: Machine, worker: WorkerConnection
) -> None:
    service = release_of(TestJob(name=A))
    activate(worker, service)
    result = activate(worker, scheduled(NIGHTLY))
    assert (result.failed, result.stopped) == ({}, ())
    assert result.observation.units[unit(A)].active == "inactive"
    assert result.observation.units[TIMER].active == "active"
    assert lines(machine, "find", SYSTEM, "-path", "*multi-user*", "-name", "gitopsd-orders*") == []
    back = activate(worker, service)
    assert (back.failed, back.stopped) == ({}, ())
    assert back.observation.units.keys() == {unit(A)}
    assert back.observation.units[unit(A)].active == "active"
    once = release_of(TestJob(name=A, kind="once", version="3"))
    activate(worker, scheduled(OFTEN, "2", seconds=60))
    until(lambda: verbs.observe(worker).units[unit(A)].active == "activating")
    activate(worker, once)
    until(lambda: verbs.observe(worker).completed == (A,))
    assert verbs.observe(worker).units.keys() == {unit(A)}


def test_a_job_that_left_takes_its_timer_along(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, scheduled(NIGHTLY, "1", TestJob(name=B)))
    result = activate(worker, release_of(TestJob(name=B)))
    assert result.stopped == (A,)
    assert list(result.observation.units) == [unit(B)]
    assert lines(machine, "systemctl", "show", "-p", "LoadState", TIMER, unit(A)) == [
        "LoadState=not-found",
        "",
        "LoadState=not-found",
    ]


def test_a_run_that_was_missed_while_the_machine_was_off_is_made_up_for(
    machine: Machine, worker: WorkerConnection
) -> None:
    activate(worker, scheduled(NIGHTLY))
    machine.run(["systemctl", "stop", TIMER])
    machine.run(["touch", "-d", "2 days ago", f"/var/lib/systemd/timers/stamp-{TIMER}"])
    machine.run(["sync"])
    machine.power_off()
    machine.boot()
    until(lambda: lines(machine, "cat", f"{ROOT}/state/{A}/starts") == ["1"])


def test_a_scheduled_job_is_healthy_while_its_timer_waits_however_its_runs_end(
    machine: Machine, worker: WorkerConnection
) -> None:
    release = scheduled(OFTEN, exit=3)
    assert activate(worker, release).pending == ()
    until(lambda: verbs.observe(worker).units[unit(A)].active == "failed")
    assert verbs.health(worker, release.id, min_healthy_time=3600, wait=2).healthy == (A,)
    machine.run(["systemctl", "stop", TIMER])
    assert verbs.health(worker, release.id, min_healthy_time=0, wait=2).failed.keys() == {A}


def test_what_is_undone_takes_its_run_along_and_brings_the_earlier_calendar_back(
    machine: Machine, worker: WorkerConnection
) -> None:
    before = scheduled(NIGHTLY)
    activate(worker, before)
    undone = scheduled(OFTEN, "2", seconds=600)
    activate(worker, undone, before, confirm_timeout=5.0)
    until(lambda: starts(machine, A) == ["2"])
    until(lambda: verbs.observe(worker).rolled_back is not None, 60.0)
    until(lambda: verbs.observe(worker).switch is None)
    state = verbs.observe(worker)
    assert state.release == state.tree == before.id
    assert state.units[unit(A)].active != "activating"
    timer = state.units[TIMER]
    assert (timer.active, timer.enabled) == ("active", True)
    assert timer.next_run is not None
    assert time.gmtime(timer.next_run)[3:6] == (HOUR, 0, 0)
    assert starts(machine, A) == ["2"]


def test_every_run_is_seen_over_a_connection_that_is_kept(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, scheduled(OFTEN))
    seen: set[float] = set()

    def three_runs() -> bool:
        last = verbs.observe(worker).units[TIMER].last_run
        seen.update([last] if last is not None else [])
        return len(seen) >= 3

    until(three_runs)
    until(lambda: len(starts(machine, A)) >= 3)
