from __future__ import annotations

import asyncio
import random


class IdleWait:
    """Waiting for something that can only be looked for: short waits first, longer ones while nothing happens.

    inotify would tell sooner, but sees nothing of what other machines do to a shared file system.
    """

    def __init__(self, first: float = 0.025, last: float = 0.5) -> None:
        self._first, self._last = first, last
        self._delay = first
        self._stopped = asyncio.Event()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the present wait and every later one at once."""
        self._stopped.set()

    def reset(self) -> None:
        self._delay = self._first

    async def wait(self) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), self._delay)
        except asyncio.TimeoutError:
            self._delay = min(self._delay * 1.5, self._last)


class Backoff:
    """Delays between attempts, in seconds: doubling from `first` to `last`, up to half of each taken off at random."""

    def __init__(self, first: float = 0.05, last: float = 2.0) -> None:
        self._first, self._last = first, last
        self._delay = first

    def reset(self) -> None:
        self._delay = self._first

    def next(self) -> float:
        delay = self._delay
        self._delay = min(delay * 2, self._last)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, not a secret
