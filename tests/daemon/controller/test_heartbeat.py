import pytest

from gitopsd.daemon.controller.heartbeat import Heartbeats


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def beats(clock: Clock) -> Heartbeats:
    return Heartbeats(clock)


def test_a_thread_that_says_nothing_is_overdue_until_it_goes_on(beats: Heartbeats, clock: Clock) -> None:
    with beats.thread("watch", silence=10) as watch, beats.thread("plan", silence=60):
        clock.now += 10
        assert beats.overdue(clock.now) == ()
        clock.now += 1
        assert beats.overdue(clock.now) == ("watch",)
        watch.beat()
        assert beats.overdue(clock.now) == ()
        clock.now += 100
        assert beats.overdue(clock.now) == ("plan", "watch")


def test_what_takes_long_may_be_announced(beats: Heartbeats, clock: Clock) -> None:
    with beats.thread("watch", silence=10) as watch:
        with watch.allowed(300):
            clock.now += 300
            assert beats.overdue(clock.now) == ()
            watch.beat()
            clock.now += 299
            assert beats.overdue(clock.now) == ()
            clock.now += 2
            assert beats.overdue(clock.now) == ("watch",)
        clock.now += 11
        assert beats.overdue(clock.now) == ("watch",)


def test_what_was_announced_and_failed_is_over(beats: Heartbeats, clock: Clock) -> None:
    with beats.thread("watch", silence=10) as watch:
        with pytest.raises(OSError, match="no route"), watch.allowed(300):
            raise OSError("no route")
        clock.now += 11
        assert beats.overdue(clock.now) == ("watch",)


def test_a_thread_that_ended_well_owes_nothing(beats: Heartbeats, clock: Clock) -> None:
    with beats.thread("watch", silence=10):
        pass
    clock.now += 1000
    assert beats.overdue(clock.now) == ()
    with beats.thread("watch", silence=10):  # its name is free again
        pass


def test_a_thread_that_died_is_missed(beats: Heartbeats, clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError), beats.thread("watch", silence=10):
        raise ZeroDivisionError
    assert beats.overdue(clock.now) == ()
    clock.now += 11
    assert beats.overdue(clock.now) == ("watch",)


def test_a_name_is_had_by_one_thread(beats: Heartbeats) -> None:
    with beats.thread("watch", silence=10), pytest.raises(ValueError, match="watch"), beats.thread("watch", silence=1):
        pass
