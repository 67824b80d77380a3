"""Work that may take too long, or too much memory, in a process of its own that can be killed."""

import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass

from gitopsd.daemon.process_limits import limit_this_process


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended. `code` is what the work gave; None where it gave nothing, and `problem` then says why: for one that
    ran out of time in the words of whoever gave it that time.
    """

    code: int | None
    problem: str = ""


_OUT_OF_MEMORY = 120
_CRASHED = 121


def run_bounded(work: Callable[[], int], *, deadline: float, memory: int, late: str) -> Ended:
    """Runs `work`, which gives a number below 100, for at most `deadline` seconds and with at most `memory` bytes.

    `late` is the problem where the deadline passes.

    It is a copy of this process, and so must be the only thread of it. What it writes goes where ours does. Were this
    process killed meanwhile, the copy ends by itself when its time is over.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _become(work, deadline, memory)
    os.close(theirs)  # the copy's end is closed when it ends, however it does
    ended = False
    try:
        ended = bool(select.select([ours], [], [], max(0.0, deadline))[0])
    finally:
        os.close(ours)
        if not ended:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if not ended:
        return Ended(code=None, problem=late)
    code = os.waitstatus_to_exitcode(status)
    if code == _OUT_OF_MEMORY:
        return Ended(code=None, problem=f"it took more than {memory >> 20} MiB of memory")
    if code < 0:
        return Ended(code=None, problem=f"planning was ended by signal {-code}")
    return Ended(code=None, problem="planning crashed") if code == _CRASHED else Ended(code=code)


def _become(work: Callable[[], int], deadline: float, memory: int) -> None:
    code = _CRASHED
    try:
        limit_this_process(deadline=deadline, memory=memory)
        code = work()
    except MemoryError:
        code = _OUT_OF_MEMORY
    finally:
        os._exit(code)  # whatever is under way in the copied process is the other one's
