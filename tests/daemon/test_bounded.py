"""Work in a process of its own."""

import os
import time

import pytest

from gitopsd.daemon.hooks.bounded import Ended, run_bounded

ROOM = 1 << 30


def test_what_the_work_comes_to_is_given_back() -> None:
    assert run_bounded(lambda: 42, deadline=30, memory=ROOM, late="late") == Ended(code=42)


def test_work_that_does_not_end_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        os.write(1, str(os.getpid()).encode())
        while True:
            time.sleep(1)

    assert run_bounded(work, deadline=0.2, memory=ROOM, late="it is late") == Ended(code=None, problem="it is late")
    with pytest.raises(ProcessLookupError):
        os.kill(int(capfd.readouterr().out), 0)


def test_work_that_takes_too_much_memory_ends_there() -> None:
    ended = run_bounded(lambda: len([b"x" * (1 << 20) for _ in range(4096)]), deadline=60, memory=ROOM, late="late")
    assert ended == Ended(code=None, problem="it took more than 1024 MiB of memory")


def test_work_that_crashes_says_so() -> None:
    assert run_bounded(lambda: 1 // 0, deadline=30, memory=ROOM, late="late").problem == "planning crashed"
    assert run_bounded(os.abort, deadline=30, memory=ROOM, late="late").problem == "planning was ended by signal 6"
