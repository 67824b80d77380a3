from __future__ import annotations

import asyncio

from gitopsd.runner.tasks import end


async def deaf_at_first() -> None:
    """As `wait_for` is, until Python 3.12, when a cancellation meets its result."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(60)


async def failing() -> None:
    raise ValueError


async def end_of_all() -> tuple[bool, ...]:
    tasks = [asyncio.ensure_future(work) for work in (deaf_at_first(), failing(), asyncio.sleep(60))]
    await asyncio.sleep(0)
    await end(tasks)
    return tuple(task.done() for task in tasks)


def test_tasks_end_even_if_they_miss_a_cancellation_or_fail() -> None:
    assert asyncio.run(end_of_all()) == (True, True, True)
