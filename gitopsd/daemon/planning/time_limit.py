"""A bound on work that gives no chance to look at the clock, such as a regular expression that backtracks."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_BEFORE = 0.9
"""Of what is left of a limit around this one: it ends the process, so ours comes first."""


class TimeIsUp(Exception):  # noqa: N818 - not an error: the end of what was allowed
    """Raised wherever the work is."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeIsUp in the block after so long. For the main thread, where signals arrive; elsewhere a ValueError."""
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("a time limit needs the main thread")
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _end)
    around, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, around * _BEFORE) if around else seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if around:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, around - (time.monotonic() - started)))


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TimeIsUp
