"""Taking fleets down however the process ends; what not even this sees (kill -9) the next claim of a slot sweeps."""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_pending: list[Callable[[], None]] = []
_owner = os.getpid()


def on_exit(stop: Callable[[], None]) -> None:
    """Call `stop` at the end of this process, unless it's withdrawn before."""
    if not _pending:
        atexit.register(_stop_all)
        _catch(signal.SIGTERM)
        _catch(signal.SIGHUP)
    _pending.append(stop)


def withdraw(stop: Callable[[], None]) -> None:
    if stop in _pending:
        _pending.remove(stop)


def _stop_all() -> None:
    if os.getpid() != _owner:
        return  # a fork inherits the list, but not the machines
    while _pending:
        _pending.pop()()


def _catch(number: signal.Signals) -> None:
    # Only where the default would end the process without a word to atexit; another handler has its own plans.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """As a Ctrl-C, which pytest and context managers know how to clean up after."""
    raise KeyboardInterrupt
