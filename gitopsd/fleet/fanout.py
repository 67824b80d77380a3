"""One function over many workers: bounded threads, each worker's failure its own, results as they come."""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from gitopsd.fleet.errors import Stopped, WorkerUnreachable
from gitopsd.fleet.struct_types import learn_struct_types

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from gitopsd.fleet.target import Target

THREADS = 32
GRACE_SECONDS = 5.0
_TICK_SECONDS = 0.2  # how soon somebody who wants to stop is heard

_Result = TypeVar("_Result")


class Succeeded(msgspec.Struct, Generic[_Result], frozen=True, kw_only=True):
    """One worker's result; seconds is how long the function took."""

    worker: str
    result: _Result
    seconds: float


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's failure: a WorkerError, or whatever else the function raised.

    begun: False where the function was never called, so that certainly nothing was done to the worker.
    """

    worker: str
    error: Exception
    seconds: float
    begun: bool = True


def fan_out(
    targets: Sequence[Target],
    function: Callable[[Target], _Result],
    *,
    deadline: float,
    threads: int = THREADS,
    stop: threading.Event | None = None,
    grace: float = GRACE_SECONDS,
) -> Iterator[Succeeded[_Result] | Failed]:
    """Run function for each target; yields exactly one outcome for each, in the order in which they end.

    deadline: seconds for all of them; workers that have not ended by then come last, as Failed with
    WorkerUnreachable. stop: once it is set, by a signal's handler for one, nothing more is begun; calls that are under
    way have `grace` seconds to end, and the others come as Failed with Stopped. Leaving the iterator early (Ctrl-C,
    break) starts nothing more; calls that are under way end by themselves at their own deadlines, and don't keep the
    process from ending.
    """
    learn_struct_types()
    run = _Run(targets, function)
    end = time.monotonic() + deadline
    run.start(min(threads, len(targets)))
    waiting = {target.name for target in targets}
    stopped = False
    try:
        while waiting:
            if stop is not None and stop.is_set() and not stopped:
                stopped, end = True, min(end, time.monotonic() + grace)
                begun = run.stop()
                yield from _stopped(waiting - begun, deadline)
                waiting &= begun
                continue
            left = end - time.monotonic()
            outcome = run.next_outcome(left if stop is None or stopped else min(left, _TICK_SECONDS))
            if outcome is not None:
                waiting.discard(outcome.worker)
                yield outcome
            elif time.monotonic() >= end:
                break
    finally:
        begun = run.stop()
    if stopped:
        yield from _stopped(waiting, deadline, begun=True)
        return
    for name in sorted(waiting):
        state = "had not ended" if name in begun else "had not been begun"
        error = WorkerUnreachable(
            name, "read", f"{name}: {state} when the {deadline:g} s for all workers were over: run again for the rest"
        )
        yield Failed(worker=name, error=error, seconds=deadline, begun=name in begun)


def _stopped(names: Collection[str], seconds: float, *, begun: bool = False) -> Iterator[Failed]:
    for name in sorted(names):
        yield Failed(worker=name, error=Stopped(name, begun=begun), seconds=seconds, begun=begun)


class _Run(Generic[_Result]):
    def __init__(self, targets: Sequence[Target], function: Callable[[Target], _Result]) -> None:
        self._function = function
        self._pending = deque(targets)
        self._started: set[str] = set()
        self._lock = threading.Lock()
        self._outcomes: SimpleQueue[Succeeded[_Result] | Failed] = SimpleQueue()

    def start(self, threads: int) -> None:
        for number in range(threads):
            # daemons: a worker that hangs must not keep an interrupted command from ending
            threading.Thread(target=self._work, name=f"fan-out-{number}", daemon=True).start()

    def next_outcome(self, seconds: float) -> Succeeded[_Result] | Failed | None:
        try:
            return self._outcomes.get(timeout=max(0.0, seconds))
        except Empty:
            return None

    def stop(self) -> set[str]:
        """Begin nothing more; the names of the workers that were begun."""
        with self._lock:
            self._pending.clear()
            return set(self._started)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    return
                target = self._pending.popleft()
                self._started.add(target.name)
            self._outcomes.put(self._outcome(target))

    def _outcome(self, target: Target) -> Succeeded[_Result] | Failed:
        start = time.monotonic()
        try:
            result = self._function(target)
        except Exception as error:  # noqa: BLE001 -- the one catch-all of a fan-out: others must go on
            return Failed(worker=target.name, error=error, seconds=time.monotonic() - start)
        return Succeeded(worker=target.name, result=result, seconds=time.monotonic() - start)
