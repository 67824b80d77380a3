import msgspec
import pytest

from gitopsd.model.facts import Away, InputTraffic, JobTraffic, Observation, ObservedFile, UnitState
from gitopsd.model.release import DesiredRelease, Draining, ReleaseJob, ReleaseRecord
from gitopsd.planner.drift import draining_lines, failed_runs, find_drift, kept_from_draining

JOB, UNIT, ID = "orders.collect.0", "gitopsd-orders.collect.0.service", "1" * 40
FILES = {
    "release.json": ("100644", "a" * 40),
    f"jobs/{JOB}/job.json": ("100644", "b" * 40),
    f"units/{UNIT}": ("100644", "c" * 40),
}
ENTRY = ReleaseJob(kind="service", digest="d1", unit=UNIT, on_change="restart")
RUNNING = UnitState(
    active="active", sub="running", result="success", main_pid=7, restarts=0, enabled=True, since=1.0, blob="c" * 40
)
IN_SYNC = Observation(
    owner=None,
    release=ID,
    tree=ID,
    units={UNIT: RUNNING},
    applied={JOB: "d1"},
    completed=(),
    releases=(ID,),
    interrupted=False,
)


def desired(**job: object) -> DesiredRelease:
    record = ReleaseRecord(
        format=1, worker="edge-1", environment="production", jobs={JOB: msgspec.structs.replace(ENTRY, **job)}
    )
    return DesiredRelease(worker="edge-1", id=ID, record=record, files=FILES)


def kinds(observed: Observation, service_manager: str = "systemd", **job: object) -> list[tuple[str, str]]:
    return [(drift.kind, drift.subject) for drift in find_drift(desired(**job), observed, service_manager)]


def unit(**other: object) -> dict[str, UnitState]:
    return {UNIT: msgspec.structs.replace(RUNNING, **other)}


def test_a_worker_in_sync_has_no_drift() -> None:
    assert kinds(IN_SYNC) == []


@pytest.mark.parametrize(
    ("held", "wanted", "detail"),
    [
        ({JOB: {"token": "f1"}}, {JOB: {"token": "f1"}}, None),
        ({JOB: {"token": "f1"}}, {JOB: {"token": "f2"}}, "the secret `token` has another value than the worker holds"),
        ({}, {JOB: {"token": "f1"}}, "the value of the secret `token` is not on the worker"),
        ({JOB: {"token": "f1"}}, {}, None),
        ({}, {}, "the value of the secret `token` is not on the worker"),
        ({}, None, None),
    ],
    ids=["same", "rotated", "missing", "not known here", "neither here nor there", "not compared"],
)
def test_secrets_are_compared_by_fingerprint(
    held: dict[str, dict[str, str]], wanted: dict[str, dict[str, str]] | None, detail: str | None
) -> None:
    observed = msgspec.structs.replace(IN_SYNC, credentials=held)
    found = find_drift(desired(secrets=("token",)), observed, "systemd", wanted)
    assert [(drift.kind, drift.subject, drift.detail) for drift in found] == (
        [("changed-secret", JOB, detail)] if detail else []
    )


@pytest.mark.parametrize(
    ("observed", "kind", "subject"),
    [
        ({"interrupted": True}, "interrupted", ""),
        ({"release": "2" * 40}, "out-of-sync", ""),
        ({"release": None}, "out-of-sync", ""),
        ({"applied": {}}, "not-applied", JOB),
        ({"units": {}}, "missing-replica", JOB),
        ({"units": unit(enabled=False)}, "not-enabled", JOB),
        ({"units": unit(blob="f" * 40)}, "changed-unit", JOB),
        ({"units": unit(active="failed", result="exit-code")}, "failed", JOB),
        ({"units": unit(active="inactive", sub="dead")}, "not-running", JOB),
        ({"units": {**unit(), "gitopsd-x.y.0.service": RUNNING}}, "orphan", "gitopsd-x.y.0.service"),
    ],
)
def test_each_difference_has_its_kind(observed: dict[str, object], kind: str, subject: str) -> None:
    assert kinds(msgspec.structs.replace(IN_SYNC, **observed)) == [(kind, subject)]


def test_of_a_unit_file_that_another_release_brings_nobody_is_told_to_have_changed_it() -> None:
    observed = msgspec.structs.replace(IN_SYNC, release="2" * 40, units=unit(blob="f" * 40))
    [_, drift] = find_drift(desired(), observed, "systemd")
    assert str(drift) == f"changed-unit: {JOB}: its unit file is not yet as this version has it"


def test_edited_files_are_named() -> None:
    files = [ObservedFile(path, mode, blob) for path, (mode, blob) in FILES.items()]
    files = [files[0], ObservedFile(files[1].path, "100644", "e" * 40), ObservedFile("extra", "100644", "e" * 40)]
    observed = msgspec.structs.replace(IN_SYNC, tree="3" * 40, files=tuple(files))
    assert sorted(kinds(observed)) == [
        ("changed-file", f"jobs/{JOB}/job.json"), ("extra-file", "extra"), ("missing-file", f"units/{UNIT}"),
    ]  # fmt: skip


def test_supervisor_has_no_unit_files_to_change() -> None:
    observed = msgspec.structs.replace(IN_SYNC, units=unit(blob=None))
    assert kinds(observed, "supervisor") == []


@pytest.mark.parametrize(
    ("active", "completed", "found"),
    [("active", False, []), ("inactive", True, []), ("inactive", False, ["not-running"])],
)
def test_a_job_of_the_kind_once_is_done_when_it_has_completed(
    active: str, found: list[str], *, completed: bool
) -> None:
    observed = msgspec.structs.replace(IN_SYNC, units=unit(active=active), completed=(JOB,) if completed else ())
    assert [kind for kind, _ in kinds(observed, kind="once")] == found


def test_a_worker_that_holds_nothing_and_should_run_nothing_is_in_sync() -> None:
    nothing = msgspec.structs.replace(IN_SYNC, release=None, tree=None, units={}, applied={}, releases=())
    empty = DesiredRelease(
        worker="edge-1",
        id=ID,
        record=ReleaseRecord(format=1, worker="edge-1", environment="production"),
        files={"release.json": ("100644", "a" * 40)},
    )
    assert find_drift(empty, nothing, "systemd") == ()
    assert find_drift(desired(), nothing, "systemd") != ()


TIMER = "gitopsd-orders.collect.0.timer"
WAITING = msgspec.structs.replace(RUNNING, sub="waiting", main_pid=0, blob="d" * 40)
IDLE = msgspec.structs.replace(RUNNING, active="inactive", sub="dead", main_pid=0, enabled=False)


def scheduled(timer: UnitState | None = WAITING, service: UnitState | None = IDLE) -> tuple[list[str], dict[str, str]]:
    """What differs of a scheduled job with these units, and whose runs failed."""
    units = {name: state for name, state in ((UNIT, service), (TIMER, timer)) if state is not None}
    release = msgspec.structs.replace(
        desired(kind="schedule", schedule="daily"), files={**FILES, f"units/{TIMER}": ("100644", "d" * 40)}
    )
    observed = msgspec.structs.replace(IN_SYNC, units=units)
    return [str(one) for one in find_drift(release, observed, "systemd")], failed_runs(release, observed)


def test_a_scheduled_job_is_in_sync_while_its_timer_waits_whatever_its_service_does() -> None:
    under_way = msgspec.structs.replace(IDLE, active="activating", sub="start", main_pid=9)
    assert scheduled() == ([], {})
    assert scheduled(service=under_way) == ([], {})


def test_a_run_that_failed_is_no_drift_and_is_told() -> None:
    failed = msgspec.structs.replace(IDLE, active="failed", sub="failed", result="exit-code")
    assert scheduled(service=failed) == ([], {JOB: "exit-code"})


@pytest.mark.parametrize(
    ("timer", "service", "found"),
    [
        (None, IDLE, f"missing-replica: {JOB}: its timer is not there"),
        (WAITING, None, f"missing-replica: {JOB}: its unit is not there"),
        (msgspec.structs.replace(WAITING, active="inactive", sub="dead"), IDLE,
         f"not-running: {JOB}: its timer is inactive (dead)"),
        (msgspec.structs.replace(WAITING, enabled=False), IDLE, f"not-enabled: {JOB}: it would not start at boot"),
        (msgspec.structs.replace(WAITING, blob="e" * 40), IDLE,
         f"changed-unit: {JOB}: its timer was changed on the worker"),
        (WAITING, msgspec.structs.replace(IDLE, blob="e" * 40),
         f"changed-unit: {JOB}: its unit file was changed on the worker"),
        (msgspec.structs.replace(WAITING, drop_ins=("/x.conf",)), IDLE,
         f"changed-unit: {JOB}: its timer is overridden by /x.conf"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_timer_of_a_scheduled_job(
    timer: UnitState | None, service: UnitState | None, found: str
) -> None:
    assert scheduled(timer, service)[0] == [found]


def test_a_job_that_is_placed_on_another_worker_is_told_apart_from_one_that_nobody_placed() -> None:
    elsewhere = msgspec.structs.replace(desired(), placed={"gitopsd-x.y.0.service": "edge-2"})
    found = find_drift(
        elsewhere, msgspec.structs.replace(IN_SYNC, units={**unit(), "gitopsd-x.y.0.service": RUNNING}), "systemd"
    )
    assert [str(one) for one in found] == [
        "changed-placement: gitopsd-x.y.0.service: its job is placed on edge-2, and is still here"
    ]
    assert (found[0].observed, found[0].desired) == ("edge-1", "edge-2")


def test_a_worker_on_which_nothing_is_says_that_it_may_have_been_torn_down() -> None:
    bare = msgspec.structs.replace(IN_SYNC, release=None, tree=None, units={}, applied={}, releases=())
    said = [drift.detail for drift in find_drift(desired(), bare, "systemd")]
    assert "torn down" in said[0]
    assert "`gitopsd apply`" in said[0]
    assert not [detail for detail in said if "another version" in detail or "this version" in detail]


@pytest.mark.parametrize(
    ("error", "away", "completed", "line"),
    [
        ("", None, False, "it drains until nothing is left for it, for 5m at most"),
        ("no entry", None, False, "it drains until nothing is left for it, for 5m at most; it failed: no entry"),
        (
            "",
            Away(message="waiting for the NATS servers of rows", seconds=42.4),
            False,
            "it drains until nothing is left for it, for 5m at most; waiting for the NATS servers of rows (42 s)",
        ),
        ("", None, True, "it has drained, and the next deployment drops it"),
        ("no entry", None, True, "its time to drain is over, and the next deployment drops it; it failed: no entry"),
    ],
    ids=["drains", "fails", "waits", "has drained", "never could"],
)
def test_what_keeps_a_job_from_draining_is_told_with_it(
    error: str, away: Away | None, completed: bool, line: str
) -> None:
    wanted = desired(kind="once", draining=Draining(deadline_seconds=300))
    end = InputTraffic(port="default", channel="rows", events=0, bytes=0, done=0, waiting=0, stalled=0.0, away=away)
    said = JobTraffic(age=1.0, pid=7, read=0, done=0, failed=0, inputs=(end,), outputs=(), error=error)
    observed = msgspec.structs.replace(IN_SYNC, traffic={JOB: said}, completed=(JOB,) if completed else ())
    assert draining_lines(wanted, observed) == (f"{JOB}: {line}",)
    assert (JOB in kept_from_draining(wanted, observed)) is (error != "" or away is not None)
