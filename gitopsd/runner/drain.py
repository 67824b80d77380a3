"""Draining: a job that leaves its worker finishes what is stored for it, and then ends by itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.flow import is_fed, returns_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitopsd.runner.flow import Counts, Input
    from gitopsd.runner.report import Reporter

LOOK_SECONDS = 0.5

QUIET_SECONDS = 5.0
"""How long nothing must come, and nobody be there from whom it could."""


class _Look(NamedTuple):
    """`left`: events that are stored, None where an input can't tell; so `is_fed`. `moved` grows with every event."""

    left: int | None
    is_fed: bool | None
    under_way: int
    moved: int

    def is_quiet_since(self, last: _Look) -> bool:
        return self.left == 0 and self.is_fed is False and not self.under_way and self.moved == last.moved


_UNKNOWN = _Look(None, None, 0, 0)


async def until_drained(inputs: Sequence[Input], counts: Counts, reporter: Reporter, deadline: float) -> None:
    """Return once, for QUIET_SECONDS, nothing came or is stored or under way and no producer was there; or when the
    deadline has passed.

    What can't be known isn't taken for nothing. `deadline` is in seconds since the epoch, since it holds across
    restarts of the job. What is left then is told. Raises JobError.
    """
    began = quiet_since = time.monotonic()
    last = _UNKNOWN
    producers = _Producers(inputs)
    while time.time() < deadline:
        asked = time.monotonic()
        now = await _look(inputs, producers, counts, deadline)
        if not now.is_quiet_since(last):
            quiet_since = time.monotonic()
        last = now
        if asked - quiet_since >= QUIET_SECONDS:  # a look may itself take long
            reporter.say("drained: nothing is left for it")
            return
        if asked - began >= QUIET_SECONDS:
            _say_why(last, reporter)
        await asyncio.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.time())))
    reporter.say(f"draining ended at its deadline: {_left(last)}")


def _say_why(last: _Look, reporter: Reporter) -> None:
    """Why it goes on though it seems to do nothing."""
    if last.left is None:
        reporter.say_rarely("draining", "draining: how much is stored for it can't be known now")
    elif not last.left and not last.under_way and last.is_fed is not False:
        what = "whether a producer is there can't be known now" if last.is_fed is None else "a producer hasn't ended"
        reporter.say_rarely("draining", f"draining: nothing is left now, but {what}: it waits, until its deadline")


def _left(last: _Look) -> str:
    if last.left is None:
        return "what is left can't be known, and nothing reads it here any more"
    if last.left:
        return f"{last.left} events are left, and nothing reads them here any more"
    return "nothing is left; what a producer may still write nothing reads here any more"


class _Producers:
    """Those of all inputs. One that isn't there may be one that is being started, for as long as the input says."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs
        self._there = [time.monotonic()] * len(inputs)
        """When one was there, as far as is known, or may have been."""

    async def are_there(self) -> bool | None:
        found = [await self._is_there(number, source) for number, source in enumerate(self._inputs)]
        return True if any(found) else None if None in found else False

    async def _is_there(self, number: int, source: Input) -> bool | None:
        found = await is_fed(source)
        if found is not False:
            self._there[number] = time.monotonic()
        elif time.monotonic() - self._there[number] < returns_within(source):
            return None
        return found


async def _look(inputs: Sequence[Input], producers: _Producers, counts: Counts, deadline: float) -> _Look:
    """An input that waits for a store which is away isn't waited for beyond the deadline."""
    try:
        return await asyncio.wait_for(_ask(inputs, producers, counts), max(LOOK_SECONDS, deadline - time.time()))
    except asyncio.TimeoutError:
        return _UNKNOWN


async def _ask(inputs: Sequence[Input], producers: _Producers, counts: Counts) -> _Look:
    fed = await producers.are_there()  # first: what those wrote that have ended is stored by then
    backlogs = [await source.backlog() for source in inputs]
    known = [backlog for backlog in backlogs if backlog is not None]
    return _Look(
        left=sum(known) if len(known) == len(backlogs) else None,
        is_fed=fed,
        under_way=counts.read - counts.acknowledged,
        moved=counts.read + counts.acknowledged,
    )
