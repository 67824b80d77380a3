"""Draining: a job that leaves its worker finishes what is stored for it, and then ends by itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.flow import is_fed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitopsd.runner.flow import Counts, Input
    from gitopsd.runner.report import Reporter

LOOK_SECONDS = 0.5

QUIET_SECONDS = 30.0
"""How long nothing must come: longer than a producer needs to be stopped, started and connected on a small machine that
is busy with others. While it is restarted it counts as ended.
"""

PATIENCE_SECONDS = 5.0
"""After so long without an end it says why."""


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
    while time.time() < deadline:
        asked = time.monotonic()
        now = await _look(inputs, counts, deadline)
        if not now.is_quiet_since(last):
            quiet_since = time.monotonic()
        last = now
        if asked - quiet_since >= QUIET_SECONDS:  # a look may itself take long
            reporter.say("drained: nothing is left for it")
            return
        if asked - began >= PATIENCE_SECONDS:
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


async def _look(inputs: Sequence[Input], counts: Counts, deadline: float) -> _Look:
    """An input that waits for a store which is away isn't waited for beyond the deadline."""
    try:
        return await asyncio.wait_for(_ask(inputs, counts), max(LOOK_SECONDS, deadline - time.time()))
    except asyncio.TimeoutError:
        return _UNKNOWN


async def _ask(inputs: Sequence[Input], counts: Counts) -> _Look:
    fed = [await is_fed(source) for source in inputs]  # first: what those wrote that have ended is stored by then
    backlogs = [await source.backlog() for source in inputs]
    known = [backlog for backlog in backlogs if backlog is not None]
    return _Look(
        left=sum(known) if len(known) == len(backlogs) else None,
        is_fed=True if any(fed) else None if None in fed else False,
        under_way=counts.read - counts.acknowledged,
        moved=counts.read + counts.acknowledged,
    )
