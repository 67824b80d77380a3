"""Threads that take tasks as they are given, and hand over what came of each."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from gitopsd.fleet.struct_types import learn_struct_types

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T]):
    """What one task came to: its value, or the error that it raised."""

    task: int
    value: T | None = None
    error: Exception | None = None


class Crew(Generic[T]):
    """At most `size` threads, begun as they are needed. Used by one thread.

    They are daemons: a worker that hangs must not keep an interrupted command from ending.
    """

    def __init__(self, size: int) -> None:
        learn_struct_types()
        self._size = size
        self._tasks: SimpleQueue[tuple[int, Callable[[], T]] | None] = SimpleQueue()
        self._done: SimpleQueue[Done[T]] = SimpleQueue()
        self._threads = 0
        self._under_way = 0
        self._last = 0

    def give(self, function: Callable[[], T]) -> int:
        """Has it run as soon as a thread is free; its number."""
        self._last += 1
        self._under_way += 1
        if self._threads < min(self._size, self._under_way):
            self._threads += 1
            threading.Thread(target=self._work, name=f"rollout-{self._threads}", daemon=True).start()
        self._tasks.put((self._last, function))
        return self._last

    def next(self, seconds: float) -> Done[T] | None:
        """What the next one came to; None when none ends in time."""
        try:
            done = self._done.get(timeout=max(0.0, seconds))
        except Empty:
            return None
        self._under_way -= 1
        return done

    def give_up_one(self) -> None:
        """A task will not be waited for any more: its thread doesn't count, so that others aren't held up."""
        self._size += 1

    def dismiss(self) -> None:
        """Threads end with the task that they are at; tasks that none has begun are dropped."""
        while True:
            try:
                self._tasks.get_nowait()
            except Empty:
                break
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            number, function = task
            try:
                self._done.put(Done(task=number, value=function()))
            except Exception as error:  # noqa: BLE001 - the one catch-all of a fan-out: the other workers go on
                self._done.put(Done(task=number, error=error))
