"""Work that may take too long, or too much memory, in a process of its own that can be killed."""

import math
import os
import resource
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass


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
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(max(0.0, deadline)) + 1)  # should nobody be left to kill it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # RLIMIT_AS would count the packs that libgit2 maps, and these may be larger than any memory
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        code = work()
    except MemoryError:
        code = _OUT_OF_MEMORY
    finally:
        os._exit(code)  # whatever is under way in the copied process is the other one's
