"""The state machine of backoff: whatever happens in whatever order, it waits, not for long, and forgets no error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.planner.backoff import (
    CAP_SECONDS,
    FIRST_SECONDS,
    Backoff,
    InVain,
    Trouble,
    Version,
    after_trouble,
    waiting_time,
    well,
)

VERSIONS = st.builds(Version, st.integers(1, 3), st.sampled_from(["a", "b"]))
DRAWS = st.floats(0, 1)
TIMES = st.floats(0, 4e9)
STEPS = st.lists(
    st.tuples(st.sampled_from(["failed", "unreachable", "well"]), VERSIONS, TIMES, DRAWS, st.text(max_size=5)),
    max_size=30,
)
ONE = Version(1, "a")


def run(steps: list[tuple[str, Version, float, float, str]]) -> list[Backoff]:
    """The state after each step, the clock being whatever the step says."""
    states = [Backoff()]
    for kind, version, at, draw, error in steps:
        states.append(step(states[-1], kind, version, at=at, draw=draw, error=error))
    return states[1:]


def step(
    before: Backoff, kind: str, version: Version = ONE, *, at: float = 0.0, draw: float = 1.0, error: str = ""
) -> Backoff:
    match kind:
        case "well":
            return well()
        case "failed" | "unreachable":
            return after_trouble(before, kind, error, version, now=at, draw=lambda: draw)
        case _:
            raise AssertionError(kind)


def of(state: Backoff, kind: str) -> InVain | None:
    return state.failed if kind == "failed" else state.unreachable


@given(attempts=st.integers(1, 10_000), draw=DRAWS)
def test_a_wait_is_within_its_bounds(attempts: int, draw: float) -> None:
    wait = waiting_time(attempts, lambda: draw)
    assert FIRST_SECONDS / 2 <= wait <= CAP_SECONDS
    assert wait <= FIRST_SECONDS * 2.0 ** min(attempts - 1, 100)


@given(attempts=st.integers(1, 50), one=DRAWS, other=DRAWS)
def test_a_wait_never_gets_shorter_than_the_one_before_by_more_than_luck(
    attempts: int, one: float, other: float
) -> None:
    longest = min(CAP_SECONDS, FIRST_SECONDS * 2.0 ** (attempts - 1))
    assert waiting_time(attempts + 1, lambda: one) >= min(longest, CAP_SECONDS / 2)
    assert waiting_time(attempts, lambda: other) <= longest


def test_the_cap_is_reached_and_kept() -> None:
    waits = [waiting_time(attempts, lambda: 1.0) for attempts in range(1, 60)]
    assert waits == sorted(waits)
    assert waits[-1] == CAP_SECONDS
    assert len({waiting_time(9, iter([number / 10]).__next__) for number in range(10)}) == 10, "it is spread"


@given(steps=STEPS)
def test_attempts_count_up_by_one_while_the_trouble_and_the_version_stay(
    steps: list[tuple[str, Version, float, float, str]],
) -> None:
    before = Backoff()
    for (kind, version, _, _, _), after in zip(steps, run(steps), strict=True):
        if kind != "well":
            was, now = of(before, kind), of(after, kind)
            assert now is not None
            assert now.attempts == (was.attempts + 1 if was is not None and was.version == version else 1)
        before = after


@given(steps=STEPS)
def test_an_error_is_never_lost_before_the_worker_is_well_or_is_tried_again(
    steps: list[tuple[str, Version, float, float, str]],
) -> None:
    failed: str | None = None
    for (kind, _, _, _, error), after in zip(steps, run(steps), strict=True):
        failed = {"well": None, "failed": error}.get(kind, failed)
        assert (after.failed.error if after.failed else None) == failed
        last = after.last
        assert (last is None) == (kind == "well")
        if last is not None:
            assert (last[0], last[1].error) == (kind, error)


@given(steps=STEPS, version=VERSIONS, now=TIMES)
def test_success_and_another_version_end_it(
    steps: list[tuple[str, Version, float, float, str]], version: Version, now: float
) -> None:
    state = run(steps)[-1] if steps else Backoff()
    assert well().holding(version, now) is None
    holding = state.holding(version, now)
    if holding is not None:
        assert holding[1].version == version


@given(steps=STEPS, jump=st.floats(-4e9, 4e9), version=VERSIONS)
def test_no_clock_makes_a_worker_wait_for_longer_than_the_cap(
    steps: list[tuple[str, Version, float, float, str]], jump: float, version: Version
) -> None:
    state = run(steps)[-1] if steps else Backoff()
    last = state.last
    if last is None:
        return
    now = last[1].at + jump
    remaining = last[1].remaining(now)
    assert 0 <= remaining <= min(CAP_SECONDS, last[1].wait)
    due = now if now < last[1].at else now + remaining + 0.001  # a clock that went back holds nobody
    assert state.holding(version, due) is None


def test_the_clock_that_goes_back_behind_the_last_attempt_makes_it_due() -> None:
    state = step(Backoff(), "unreachable", at=1000.0)
    assert state.holding(ONE, 1000.0 + FIRST_SECONDS - 1) is not None
    assert state.holding(ONE, 999.0) is None
    assert state.holding(ONE, 1000.0 + FIRST_SECONDS) is None


def test_a_record_that_somebody_edited_holds_nobody_for_longer_than_the_cap() -> None:
    edited = InVain(version=ONE, attempts=3, error="", at=1000.0, wait=1e12)
    assert edited.remaining(1000.0) == CAP_SECONDS


@pytest.mark.parametrize("first", ["failed", "unreachable"])
def test_failed_and_unreachable_are_counted_apart(first: Trouble) -> None:
    state = Backoff()
    for kind in ("failed", "failed", "unreachable"):
        state = step(state, kind, error=kind)
    assert state.failed is not None
    assert state.failed.attempts == 2
    assert state.unreachable is not None
    assert state.unreachable.attempts == 1
    again = step(state, first, error="again")
    counted = of(again, first)
    assert counted is not None
    assert counted.attempts == {"failed": 3, "unreachable": 2}[first]
    assert (again.unreachable is None) == (first == "failed"), "who fails was reached"
