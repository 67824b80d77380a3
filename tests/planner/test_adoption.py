import msgspec

from gitopsd.planner.adoption import takeover
from tests.planner.test_drift import IN_SYNC, JOB, RUNNING, UNIT, desired

OTHER = "gitopsd-other.a.0.service"
FAILED = msgspec.structs.replace(RUNNING, active="failed", sub="failed")


def test_a_worker_that_is_as_it_should_be_keeps_all_it_has() -> None:
    found = takeover(desired(), IN_SYNC, "systemd")
    assert (found.stops, found.starts, found.restarts, found.stays) == ((), (), (), (JOB,))


def test_each_job_is_named_once_by_what_becomes_of_it() -> None:
    theirs = msgspec.structs.replace(IN_SYNC, units={OTHER: RUNNING}, applied={}, release="2" * 40)
    found = takeover(desired(), theirs, "systemd")
    assert (found.stops, found.starts, found.restarts, found.stays) == ((OTHER,), (JOB,), (), ())


def test_a_job_of_another_version_is_restarted_and_one_that_failed_is_started() -> None:
    theirs = msgspec.structs.replace(IN_SYNC, applied={JOB: "d0"})
    assert takeover(desired(), theirs, "systemd").restarts == (JOB,)
    failed = msgspec.structs.replace(theirs, units={UNIT: FAILED})
    found = takeover(desired(), failed, "systemd")
    assert (found.starts, found.restarts) == ((JOB,), ())


def test_copies_are_no_difference() -> None:
    assert takeover(desired(), msgspec.structs.replace(IN_SYNC, copies=("mine",)), "systemd").drift == ()
