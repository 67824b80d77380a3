"""When a worker is given up as lost, and what keeps it from that."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.model.artifacts import PlacedWorker
from gitopsd.planner.lost import (
    Absence,
    Instant,
    is_over,
    judge,
    local_spools,
    must_be_tried,
    silent_again,
)
from gitopsd.planner.plan.job_document import End, JobDocument


def worker(name: str, *, group: str = "edge", lost_after: int = 60, leaving: bool = False) -> PlacedWorker:
    return PlacedWorker(
        name=name,
        group=group,
        connection="ssh",
        service_manager="systemd",
        mounts={"/mnt/shared": "shared"},
        lost_after=lost_after,
        leaving=leaving,
    )


def at(steady: float, *, boot: str = "one", wall: float | None = None) -> Instant:
    return Instant(wall=1e9 + steady if wall is None else wall, steady=steady, boot=boot)


def silent(*times: float) -> Absence:
    absence: Absence | None = None
    for steady in times:
        absence = silent_again(absence, at(steady))
    assert absence is not None
    return absence


def group(count: int) -> dict[str, PlacedWorker]:
    return {f"w{number}": worker(f"w{number}") for number in range(count)}


def given_up(
    workers: dict[str, PlacedWorker],
    away: Sequence[str],
    *,
    lost: Sequence[str] = (),
    held_back: dict[str, str] | None = None,
) -> list[str]:
    absences = {name: silent(0, 60) for name in away}
    return [one.worker for one in judge(workers, absences, lost, held_back or {}) if not one.kept_because]


def test_it_takes_two_attempts_so_far_apart() -> None:
    one = worker("w0")
    assert not is_over(one, silent(0))
    assert not is_over(one, silent(0, 59))
    assert is_over(one, silent(0, 60))
    assert not is_over(worker("w0", lost_after=0), silent(0, 10**6)), "off by default"
    assert not is_over(worker("w0", leaving=True), silent(0, 60))


@pytest.mark.parametrize("wall", [-1e9, 0, 4e9])
def test_a_clock_that_is_set_loses_no_worker_and_a_reboot_of_the_controller_begins_anew(wall: float) -> None:
    absence = silent_again(silent_again(None, at(0)), at(5, wall=wall))
    assert absence.seconds == 5
    rebooted = silent_again(silent(0, 50), at(10**6, boot="two"))
    assert (rebooted.attempts, rebooted.seconds) == (1, 0)


def test_the_attempt_that_would_decide_it_is_not_put_off() -> None:
    one, absence = worker("w0"), silent(0, 20)
    assert not must_be_tried(one, absence, at(59))
    assert must_be_tried(one, absence, at(60))
    assert not must_be_tried(one, silent(0, 60), at(61)), "it was decided then"
    assert not must_be_tried(one, None, at(60))
    assert not must_be_tried(one, absence, at(10**6, boot="two"))
    assert not must_be_tried(worker("w0", lost_after=0), absence, at(60))


@given(count=st.integers(1, 40), data=st.data())
def test_nothing_moves_where_more_than_30_percent_of_the_group_is_away(count: int, data: st.DataObject) -> None:
    workers = group(count)
    names = sorted(workers)
    away = data.draw(st.lists(st.sampled_from(names), unique=True))
    before = data.draw(st.lists(st.sampled_from(names), unique=True))
    found = given_up(workers, away, lost=before)
    missing = len({*away, *before})
    assert found == (sorted({*away} - {*before}) if missing / count <= 0.3 else [])


def test_each_group_is_judged_by_itself_and_those_that_leave_do_not_count() -> None:
    workers = {**group(4), "core": worker("core", group="core"), "gone": worker("gone", leaving=True)}
    assert given_up(workers, ["w0", "core", "gone"]) == ["w0"]
    [kept] = [one for one in judge(workers, {"core": silent(0, 60)}, (), {}) if one.kept_because]
    assert "1 of 1 workers of `core` are away, more than 30 %: core" in kept.kept_because


def test_what_holds_events_stays() -> None:
    assert given_up(group(10), ["w0", "w1"], held_back={"w0": "events", "w1": ""}) == ["w1"]


def _store(path: str) -> End:
    return End(transport="file-store", channel="orders.c", path=path, consumer="write")


def test_a_store_on_the_worker_alone_is_a_spool_whoever_of_both_ends_is_there() -> None:
    one = worker("w0")
    reads = JobDocument(kind="service", inputs=(_store("/var/spool/a"),))
    writes = JobDocument(kind="service", outputs=(_store("/var/spool/a"),))
    for job in (reads, writes):
        assert "/var/spool/a" in local_spools({"o.a.0": job}, one)
    shared = JobDocument(kind="service", inputs=(_store("/mnt/shared/a"),), outputs=(_store("/mnt/shared"),))
    sockets = JobDocument(kind="service", inputs=(End(transport="worker", channel="orders.c"),))
    assert local_spools({"o.a.0": shared, "o.b.0": sockets}, one) == ""
    assert local_spools({"o.a.0": JobDocument(kind="service", inputs=(_store("/mnt/shared-not/a"),))}, one)
    assert local_spools({}, one) == ""


def test_a_job_that_cannot_be_read_is_not_moved() -> None:
    assert "can't be known" in local_spools({"o.a.0": JobDocument()}, worker("w0"))
