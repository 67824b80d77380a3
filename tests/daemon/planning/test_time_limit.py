"""A bound on work that never looks at the clock."""

import re
import signal
import threading

import pytest

from gitopsd.daemon.planning.time_limit import TimeIsUp, time_limit

pytestmark = pytest.mark.timeout(60, method="thread")
"""By default pytest-timeout has the very timer that this is about."""

ENDLESS = re.compile(r"(a+)+$")
TEXT = "a" * 64 + "b"


def test_an_endless_regular_expression_is_ended() -> None:
    with pytest.raises(TimeIsUp), time_limit(0.2):
        ENDLESS.match(TEXT)


def test_what_ends_in_time_leaves_no_limit_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_limit_around_it_goes_on_and_comes_second() -> None:
    """That one ends the whole process, as in the planning of pull requests."""
    ended: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: ended.append(number))  # and not this one, where it is late
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        with pytest.raises(TimeIsUp), time_limit(60):
            ENDLESS.match(TEXT)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 1 or ended
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_thread_is_told_that_it_can_have_none() -> None:
    raised: list[Exception] = []

    def work() -> None:
        try:
            with time_limit(1):
                raised.append(AssertionError("it began"))
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [type(error) for error in raised] == [ValueError]
