"""Work in a process of its own."""

import os
import signal
import time
from pathlib import Path

import pytest

from gitopsd.daemon.hooks.bounded import Ended, run_bounded
from tests.operator import eventually

ROOM = 1 << 30


def test_what_the_work_comes_to_is_given_back() -> None:
    assert run_bounded(lambda: 42, deadline=30, memory=ROOM, late="late") == Ended(code=42)


def test_work_that_does_not_end_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        os.write(1, str(os.getpid()).encode())
        while True:
            time.sleep(1)

    assert run_bounded(work, deadline=1.5, memory=ROOM, late="it is late") == Ended(code=None, problem="it is late")
    with pytest.raises(ProcessLookupError):
        os.kill(int(capfd.readouterr().out), 0)


def test_work_that_nobody_is_left_to_kill_ends_when_its_time_is_over(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        os.write(1, f"{os.getpid()} ".encode())
        while True:
            time.sleep(1)

    middle = os.fork()
    if middle == 0:
        run_bounded(work, deadline=2, memory=ROOM, late="late")
        os._exit(0)
    said = ""

    def begun() -> bool:
        nonlocal said
        said += capfd.readouterr().out
        return said.endswith(" ")

    eventually("the work begins", begun)
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    eventually("the work is ended", lambda: not Path(f"/proc/{said.strip()}/stat").exists())


def test_work_that_takes_too_much_memory_ends_there() -> None:
    ended = run_bounded(lambda: len([b"x" * (1 << 20) for _ in range(4096)]), deadline=60, memory=ROOM, late="late")
    assert ended == Ended(code=None, problem="it took more than 1024 MiB of memory")


def test_work_that_crashes_says_so() -> None:
    assert run_bounded(lambda: 1 // 0, deadline=30, memory=ROOM, late="late").problem == "planning crashed"

    def dies() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    killed = run_bounded(dies, deadline=30, memory=ROOM, late="late")
    assert killed.problem == "planning was ended by signal 9"
