from __future__ import annotations

import pytest

from gitopsd.agent.decide import Decision, decide
from gitopsd.agent.release import Job, Release, job_of_unit
from gitopsd.agent.services import NOT_THERE, Difference, Unit

JOB = "orders.collect.0"
UNIT = f"gitopsd-{JOB}.service"
RUNNING = NOT_THERE._replace(active="active", sub="running", main_pid=7)
RETRYING = NOT_THERE._replace(active="activating", sub="auto-restart")
EXITED = NOT_THERE._replace(active="active", sub="exited")
FAILED = NOT_THERE._replace(active="failed", result="exit-code")
NOTHING = Difference(content=frozenset(), enablement=False, unread=False)


def action(unit: Unit, facts: dict[str, bool], *, kind: str = "service", on_change: str = "restart") -> str:
    job = Job(JOB, kind, "new", UNIT, on_change, "gitopsd-job", ())
    release = Release("0" * 40, {JOB: job}, {UNIT: b""})
    difference = NOTHING._replace(content=frozenset([UNIT]) if facts.get("differs") else frozenset())
    applied = {JOB: "old" if facts.get("changed") else "new"}
    completed = [JOB] if facts.get("completed") else []
    rekeyed = [JOB] if facts.get("rekeyed") else []
    reloadable = [] if facts.get("other_process") else [JOB]
    decision = decide(release, applied, {UNIT: unit}, difference, completed, rekeyed=rekeyed, reloadable=reloadable)
    return decision.actions[JOB]


@pytest.mark.parametrize(
    ("unit", "facts", "expected"),
    [
        (RUNNING, {}, "unchanged"),
        (RETRYING, {}, "unchanged"),
        (NOT_THERE, {}, "start"),
        (FAILED, {}, "start"),
        (NOT_THERE, {"changed": True}, "start"),
        (RUNNING, {"changed": True}, "restart"),
        (RETRYING, {"changed": True}, "restart"),
        (RUNNING, {"differs": True}, "restart"),
        (RUNNING, {"rekeyed": True}, "restart"),
        (NOT_THERE, {"rekeyed": True}, "start"),
    ],
)
def test_a_service(unit: Unit, facts: dict[str, bool], expected: str) -> None:
    assert action(unit, facts) == expected
    assert action(unit, facts, kind="message") == expected


@pytest.mark.parametrize(
    ("unit", "facts", "expected"),
    [
        (RUNNING, {"changed": True}, "reload"),
        (RUNNING, {"changed": True, "other_process": True}, "restart"),
        (RUNNING, {"changed": True, "differs": True}, "restart"),
        (RUNNING, {"changed": True, "rekeyed": True}, "restart"),
        (RUNNING, {"rekeyed": True}, "restart"),
        (NOT_THERE, {"changed": True}, "start"),
        (RUNNING, {}, "unchanged"),
    ],
)
def test_a_service_that_reloads(unit: Unit, facts: dict[str, bool], expected: str) -> None:
    assert action(unit, facts, on_change="reload") == expected


@pytest.mark.parametrize(
    ("unit", "facts", "expected"),
    [
        (RUNNING, {"changed": True}, "record"),
        (RUNNING, {"changed": True, "differs": True}, "record"),
        (RUNNING, {"differs": True}, "unchanged"),
        (RUNNING, {"rekeyed": True}, "unchanged"),
        (NOT_THERE, {"changed": True}, "start"),
        (EXITED, {"changed": True}, "restart"),
    ],
)
def test_a_service_that_ignores_changes(unit: Unit, facts: dict[str, bool], expected: str) -> None:
    assert action(unit, facts, on_change="none") == expected


@pytest.mark.parametrize(
    ("unit", "facts", "expected"),
    [
        (NOT_THERE, {"completed": True}, "unchanged"),
        (NOT_THERE, {"completed": True, "differs": True}, "unchanged"),
        (NOT_THERE, {"completed": True, "changed": True}, "start"),
        (EXITED, {"completed": True}, "unchanged"),
        (NOT_THERE, {}, "start"),
        (FAILED, {}, "start"),
        (RUNNING, {}, "unchanged"),
        (RUNNING, {"changed": True}, "restart"),
        (RUNNING, {"rekeyed": True}, "restart"),
        (RUNNING, {"rekeyed": True, "completed": True}, "unchanged"),
        (NOT_THERE, {"rekeyed": True, "completed": True}, "unchanged"),
    ],
)
def test_a_job_that_runs_once(unit: Unit, facts: dict[str, bool], expected: str) -> None:
    assert action(unit, facts, kind="once") == expected


def test_a_job_with_secrets_of_which_nothing_is_known_is_restarted_rather_than_reloaded() -> None:
    job = Job(JOB, "service", "new", UNIT, "reload", "gitopsd-job", (), secrets=("token",))
    release = Release("0" * 40, {JOB: job}, {UNIT: b""})
    for applied, expected in (({}, "restart"), ({JOB: "old"}, "reload")):
        assert decide(release, applied, {UNIT: RUNNING}, NOTHING, [], reloadable=[JOB]).actions[JOB] == expected


def test_units_of_no_job_of_the_release_are_orphans_and_other_units_are_not_ours() -> None:
    units = dict.fromkeys(["gitopsd-orders.old.0.service", "gitopsd-backup.service", "gitopsd.service"], RUNNING)
    decision = decide(Release("0" * 40, {}, {}), {}, units, NOTHING, [])
    assert decision.orphans == ("gitopsd-orders.old.0.service",)


@pytest.mark.parametrize(
    ("unit", "job"),
    [
        ("gitopsd-orders.collect.0.service", "orders.collect.0"),
        ("gitopsd-orders.cleanse.filter.12.timer", "orders.cleanse.filter.12"),
        ("gitopsd-orders.enrich-in-orders_raw.0.path", "orders.enrich-in-orders_raw.0"),
        ("gitopsd-agent.service", None),
        ("gitopsd-orders.collect.service", None),
        ("gitopsd-orders.collect.0.socket", None),
        ("gitopsd-../x.0.service", None),
        ("gitopsd-a b.0.service", None),
        ("ssh.service", None),
    ],
)
def test_the_units_of_jobs_are_told_by_their_names(unit: str, job: str | None) -> None:
    assert job_of_unit(unit) == job


TIMER = f"gitopsd-{JOB}.timer"
WAITING = NOT_THERE._replace(active="active", sub="waiting")
UNDER_WAY = NOT_THERE._replace(active="activating", sub="start", main_pid=9)


def scheduled(units: dict[str, Unit], **facts: bool) -> Decision:
    job = Job(JOB, "schedule", "new", TIMER, "restart", "gitopsd-job", (), secrets=("token",))
    release = Release("0" * 40, {JOB: job}, {UNIT: b"", TIMER: b""})
    content = frozenset([TIMER] if facts.get("timer") else []) | frozenset([UNIT] if facts.get("service") else [])
    applied = {JOB: "old" if facts.get("changed") else "new"}
    rekeyed = [JOB] if facts.get("rekeyed") else []
    return decide(release, applied, units, NOTHING._replace(content=content), [], rekeyed=rekeyed)


@pytest.mark.parametrize(
    ("units", "facts", "expected"),
    [
        ({}, {}, "start"),
        ({UNIT: NOT_THERE, TIMER: NOT_THERE}, {"changed": True}, "start"),
        ({UNIT: NOT_THERE, TIMER: WAITING}, {}, "unchanged"),
        ({UNIT: NOT_THERE, TIMER: WAITING}, {"changed": True}, "record"),
        ({UNIT: UNDER_WAY, TIMER: WAITING}, {"changed": True, "service": True}, "record"),
        ({UNIT: UNDER_WAY, TIMER: WAITING}, {"rekeyed": True}, "unchanged"),
        ({UNIT: NOT_THERE, TIMER: WAITING}, {"changed": True, "timer": True}, "restart"),
        ({UNIT: FAILED, TIMER: WAITING}, {}, "unchanged"),
    ],
)
def test_of_a_scheduled_job_only_the_timer_is_touched(
    units: dict[str, Unit], facts: dict[str, bool], expected: str
) -> None:
    decision = scheduled(units, **facts)
    assert decision.actions == {JOB: expected}
    assert decision.orphans == ()


def test_a_service_that_is_to_be_scheduled_is_stopped_first_and_a_run_under_way_is_not() -> None:
    assert scheduled({UNIT: RUNNING}, changed=True).orphans == (UNIT,)
    assert scheduled({UNIT: UNDER_WAY, TIMER: NOT_THERE}, changed=True).orphans == ()


def test_the_timer_of_a_job_that_is_scheduled_no_more_is_an_orphan() -> None:
    job = Job(JOB, "service", "new", UNIT, "restart", "gitopsd-job", ())
    release = Release("0" * 40, {JOB: job}, {UNIT: b""})
    decision = decide(release, {}, {UNIT: UNDER_WAY, TIMER: WAITING}, NOTHING, [])
    assert decision.orphans == (TIMER,)
    assert decision.actions == {JOB: "restart"}
