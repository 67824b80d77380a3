"""Who changes first of two workers that a job moves between."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.model.artifacts import GroupRecord
from gitopsd.planner.rollout.decide import Standing, decide
from gitopsd.planner.rollout.groups import RolloutGroup
from gitopsd.planner.rollout.moves import Move, begun_after
from tests.planner.deployed import render
from tests.planner.sources import WORKER, reads, source, writes

NAMES = ("a", "b", "c", "d", "e", "f")
GROUP = (RolloutGroup(name="edge", settings=GroupRecord(), workers=NAMES),)


def after(*moves: Move, groups: tuple[RolloutGroup, ...] = GROUP) -> dict[str, set[str]]:
    return {name: set(others) for name, others in begun_after(moves, groups).items() if others}


def test_a_job_starts_at_its_destination_first() -> None:
    assert after(Move(origin="a", destination="b"), Move(origin="a", destination="c")) == {"a": {"b", "c"}}


def test_an_exclusive_one_ends_first_whatever_else_moves_along() -> None:
    assert after(Move(origin="a", destination="b", exclusive=True), Move(origin="a", destination="b")) == {"b": {"a"}}


def test_two_that_give_each_other_jobs_come_as_they_may_and_hold_up_nobody() -> None:
    swapped = (Move(origin="a", destination="b"), Move(origin="b", destination="a"))
    assert after(*swapped, Move(origin="c", destination="d")) == {"c": {"d"}}
    assert after(*swapped, Move(origin="c", destination="a")) == {}, "it would wait for a circle"


def test_waves_go_before() -> None:
    first = RolloutGroup(name="first", settings=GroupRecord(order=0), workers=("a",))
    last = RolloutGroup(name="last", settings=GroupRecord(order=1), workers=("b",))
    assert after(Move(origin="a", destination="b"), groups=(first, last)) == {}
    assert after(Move(origin="b", destination="a"), groups=(first, last)) == {"b": {"a"}}
    assert after(Move(origin="b", destination="away"), groups=(first, last)) == {}, "it isn't rolled out to"


MOVES = st.lists(
    st.builds(Move, origin=st.sampled_from(NAMES), destination=st.sampled_from(NAMES), exclusive=st.booleans()),
    max_size=12,
)


@given(MOVES, st.integers(0, 2), st.integers(1, 6), st.sampled_from([0.0, 0.3]), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_every_worker_is_begun_in_its_order(
    moves: list[Move], canary: int, at_once: int, away: float, random: Random
) -> None:
    """Also where some are away: those have come to their end, and nobody waits for them."""
    groups = (RolloutGroup(name="edge", settings=GroupRecord(canary=canary, max_parallel=at_once), workers=NAMES),)
    order = begun_after(moves, groups)
    standings = {
        name: Standing(phase="away") if random.random() < away else Standing(phase="waiting", new=True)
        for name in NAMES
    }
    if all(known.phase == "away" for known in standings.values()):
        return
    while not (found := decide(groups, standings, order)).over:
        for name in found.start:
            assert all(standings[other].phase in {"healthy", "away"} for other in order.get(name, ()))
            standings[name] = Standing(phase="changing", new=True)
        changing = [name for name, known in standings.items() if known.phase == "changing"]
        standings[random.choice(changing)] = Standing(phase="healthy", new=True)
    assert {known.phase for known in standings.values()} <= {"healthy", "away"}


def test_a_step_that_is_exclusive_says_so_in_the_release() -> None:
    steps = {"read": reads(), "write": writes()}
    steps["write"]["place"]["exclusive"] = True
    release = render(source(steps, {"rows": WORKER})).releases["edge-1"]
    assert {job.name: job.record.get("exclusive", False) for job in release.jobs} == {
        "orders.read.0": False,
        "orders.write.0": True,
    }
