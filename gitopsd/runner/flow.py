"""What flows through a job, and the two protocols that every transport, source and sink speaks.

Acknowledgement is end to end: an input is told that a batch is done only when every output that took something of it
says so. Whatever wasn't acknowledged when a process dies is delivered again, so events are never lost and may repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import Any, Callable, NamedTuple, Protocol, runtime_checkable

from gitopsd.runner.lines import count_events
from gitopsd.runner.tasks import end

Receipt = asyncio.Future
"""Done once everything downstream of one write is safe; holds no exception: an endpoint that fails, fails the job."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts background work whose failure is the job's failure; for use while endpoints are opened."""

MOST_UNACKNOWLEDGED = 1024
"""Batches whose acknowledgements one input may be waiting for; bounds memory where a filter drops nearly everything."""


def settle(receipt: Receipt[None]) -> None:
    """Give a receipt; one that nobody waits for any more, since the job is being stopped, is already cancelled."""
    if not receipt.done():
        receipt.set_result(None)


def when_all(receipts: list[Receipt[None]], receipt: Receipt[None] | None = None) -> Receipt[None]:
    """`receipt`, else a new one, which is given once all of `receipts` are."""
    whole: Receipt[None] = receipt if receipt is not None else asyncio.get_running_loop().create_future()
    missing = len(receipts)

    def given(one: Receipt[None]) -> None:
        nonlocal missing
        missing -= 0 if one.cancelled() else 1
        if not missing:
            settle(whole)

    if not receipts:
        settle(whole)
    for one in receipts:
        one.add_done_callback(given)
    return whole


class Batch(NamedTuple):
    data: bytes
    """Whole lines, each ending in a newline; never empty."""
    acknowledge: Callable[[], None]


class Input(Protocol):
    """Where batches come from, in order. They are acknowledged in that same order."""

    async def open(self) -> None:
        """Bind or open whatever must be there before the job is ready. Raises JobError."""

    def batches(self) -> AsyncIterator[Batch]:
        """Yield batches; ends when there is nothing more, ever, or soon after `stop`."""

    def stop(self) -> None:
        """Take nothing more in."""

    async def backlog(self) -> int | None:
        """How many events are stored in the channel for this step that it has not acknowledged yet.

        Where replicas share the channel out, those of this replica. None where it can't be known, as for what is no
        channel. Cheap enough to be asked every second. Raises JobError.
        """

    async def close(self) -> None:
        """Persist what was acknowledged and let go of everything."""


@runtime_checkable
class Fed(Protocol):
    """An input that knows whether a producer is there."""

    async def is_fed(self) -> bool | None:
        """Whether one has begun and not ended, so that more may come; None where that can't be known just now.

        What one that is not there any more has written counts in a `backlog` that is asked for afterwards.
        """

    def returns_within(self) -> float:
        """For how many seconds one that isn't there may be one that is just being started, as far as is known."""


RESTART_SECONDS = 30.0
"""How long a small machine that is busy with others may take to stop a producer, start it and connect it."""


async def is_fed(source: Input) -> bool | None:
    """Whether a producer of the input is there; False of an input that never knows."""
    return await source.is_fed() if isinstance(source, Fed) else False


def returns_within(source: Input) -> float:
    """0 of an input that never knows."""
    return source.returns_within() if isinstance(source, Fed) else 0.0


class Output(Protocol):
    """Where whole lines go."""

    async def open(self) -> None:
        """Check what can be checked before the job is ready. Raises JobError."""

    async def write(self, data: bytes) -> Receipt[None]:
        """Take whole lines, waiting until there is room: this is where backpressure comes from."""

    async def close(self) -> None:
        """Let go of everything; what has no receipt yet will be delivered again."""


@runtime_checkable
class Known(Protocol):
    """An output whose readers go by what it says itself of whether it is there."""

    async def leave(self) -> None:
        """Say that nothing more comes until the job is started again. Takes seconds at most, and raises nothing."""


async def leave(output: Output) -> None:
    """Tell the readers of an output that its job ends, where they can't see it."""
    if isinstance(output, Known):
        await output.leave()


@runtime_checkable
class Lagged(Protocol):
    """An output to a store, which knows what lies there for each step that reads it."""

    async def lags(self) -> dict[str, int | None]:
        """Events that a consuming step has not acknowledged yet, by step; None where that can't be known just now.

        Cheap enough to be asked every other second. Raises JobError.
        """


async def lags(output: Output) -> dict[str, int | None]:
    """Empty for an output that never knows."""
    return await output.lags() if isinstance(output, Lagged) else {}


class Away(NamedTuple):
    """Whoever is at the other end of a channel does nothing: what the log says of it, and for how many seconds."""

    message: str
    seconds: float


@runtime_checkable
class Dependent(Protocol):
    """An end of a channel that needs somebody who may be away."""

    def away(self) -> Away | None:
        """None while everything works."""


def away(endpoint: object) -> Away | None:
    """Who is waited for, of an end of a channel; None of one that needs nobody."""
    return endpoint.away() if isinstance(endpoint, Dependent) else None


Deliver = Callable[[bytes], Awaitable[list["Receipt[None]"]]]
"""Takes the lines of one batch downstream and returns the receipts to wait for."""


class Counts:
    """Events of this process, for people: never used to decide anything."""

    def __init__(self) -> None:
        self.read = 0
        self.acknowledged = 0
        self.failed = 0


def to_every(outputs: list[Output]) -> Deliver:
    """Deliver each batch, untouched, to all of `outputs`."""

    async def deliver(data: bytes) -> list[Receipt[None]]:
        return [await output.write(data) for output in outputs]

    return deliver


class Pump(NamedTuple):
    """One input and the way downstream."""

    source: Input
    deliver: Deliver
    finish: Callable[[], Awaitable[None]] | None = None
    """Sends on what `deliver` held back; called when the source has ended, before the last acknowledgements."""

    async def run(self, counts: Counts) -> None:
        """Move every batch downstream and acknowledge each in its turn; returns when the last one is."""
        pending: asyncio.Queue[_Pending | None] = asyncio.Queue(MOST_UNACKNOWLEDGED)
        mover = asyncio.ensure_future(self._move(pending, counts))
        acknowledger = asyncio.ensure_future(_acknowledge(pending, counts))
        try:
            await asyncio.gather(mover, acknowledger)
        finally:
            await end([mover, acknowledger])

    async def _move(self, pending: asyncio.Queue[_Pending | None], counts: Counts) -> None:
        async for batch in self.source.batches():
            events = count_events(batch.data)
            counts.read += events
            receipts = await self.deliver(batch.data)
            await pending.put((batch.acknowledge, events, receipts))
            await asyncio.sleep(0)  # a source that never has to wait would keep everyone else from running
        if self.finish is not None:
            await self.finish()
        await pending.put(None)


_Pending = tuple[Callable[[], None], int, list["Receipt[None]"]]


async def _acknowledge(pending: asyncio.Queue[_Pending | None], counts: Counts) -> None:
    while True:
        entry = await pending.get()
        if entry is None:
            return
        acknowledge, events, receipts = entry
        for receipt in receipts:
            await receipt
        acknowledge()
        counts.acknowledged += events


class Assembly(NamedTuple):
    """A role's parts: `stages` are pumps; a stage is stopped when all pumps of the one before have ended."""

    outputs: list[Output]
    stages: list[list[Pump]]

    def inputs(self) -> list[Input]:
        return [pump.source for stage in self.stages for pump in stage]

    async def leave(self) -> None:
        """Of a job that ends well: one that fails is started again, and may have more to say then."""
        await asyncio.gather(*[leave(output) for output in self.outputs])

    async def close(self) -> None:
        """Inputs first: their positions are what matters."""
        for source in self.inputs():
            await source.close()
        for output in self.outputs:
            await output.close()
