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

QUIET_SECONDS = 5.0
"""How long nothing must come: longer than a producer needs to seal its last segment, or to connect again."""


class _Look(NamedTuple):
    """`left`: events that are stored, None where an input can't tell; `moved` grows with every event."""

    left: int | None
    is_busy: bool
    moved: int


async def until_drained(inputs: Sequence[Input], counts: Counts, reporter: Reporter, deadline: float) -> None:
    """Return once nothing came for QUIET_SECONDS and nothing is stored or under way, or the deadline has passed.

    `deadline` is in seconds since the epoch, since it holds across restarts of the job. What is left then is told.
    Raises JobError.
    """
    quiet_since = time.monotonic()
    last = await _look(inputs, counts)
    if last.left is None:
        reporter.say("draining: how much is stored for it can't be known, so it runs until its deadline")
    while time.time() < deadline:
        await asyncio.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.time())))
        now = await _look(inputs, counts)
        if now.left != 0 or now.is_busy or now.moved != last.moved:
            quiet_since = time.monotonic()
        last = now
        if time.monotonic() - quiet_since >= QUIET_SECONDS:
            reporter.say("drained: nothing is left for it")
            return
    left = "what is left can't be known" if last.left is None else f"{last.left} events are left"
    reporter.say(f"draining ended at its deadline: {left}, and nothing reads them here any more")


async def _look(inputs: Sequence[Input], counts: Counts) -> _Look:
    backlogs = [await source.backlog() for source in inputs]
    known = [backlog for backlog in backlogs if backlog is not None]
    return _Look(
        left=sum(known) if len(known) == len(backlogs) else None,
        is_busy=counts.read != counts.acknowledged or any(is_fed(source) for source in inputs),
        moved=counts.read + counts.acknowledged,
    )
