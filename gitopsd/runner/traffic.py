"""What passes the ends of a job's channels, for people: a small file beside the job's socket that says it every while.

It also says whether the job is ready, for a worker without systemd, where nobody else is told. It is never fsynced. It
lies on a file system in memory where the worker has systemd.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Callable

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.flow import Away, Batch, Counts, Input, Output, Receipt, away, is_fed, lags, leave, returns_within
from gitopsd.runner.lines import count_events
from gitopsd.runner.waiting import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

INTERVAL_SECONDS = 2.0
MOST_ENDS = 64
"""Of either side; whoever reads the file looks at no more."""


class CountedInput:
    """An input, and what came through it."""

    def __init__(self, source: Input, port: str, channel: str) -> None:
        self._source = source
        self._port = port
        self._channel = channel
        self._events = self._bytes = self._done = 0
        self._is_open = False
        self._moved = 0.0
        """When events were last acknowledged, or came where none were under way; by the loop's clock."""

    async def open(self) -> None:
        await self._source.open()
        self._moved = _now()
        self._is_open = True

    async def batches(self) -> AsyncIterator[Batch]:
        async for batch in self._source.batches():
            events = count_events(batch.data)
            if self._done == self._events:
                self._moved = _now()
            self._events += events
            self._bytes += len(batch.data)
            yield Batch(batch.data, partial(self._acknowledge, batch, events))

    def stop(self) -> None:
        self._source.stop()

    async def close(self) -> None:
        await self._source.close()

    async def backlog(self) -> int | None:
        return await self._source.backlog()

    async def is_fed(self) -> bool | None:
        return await is_fed(self._source)

    def returns_within(self) -> float:
        return returns_within(self._source)

    def _acknowledge(self, batch: Batch, events: int) -> None:
        batch.acknowledge()
        self._done += events
        self._moved = _now()

    async def describe(self, *, ended: bool) -> dict[str, object]:
        """`ended`: the transport may be gone already, so that nothing can be asked of it."""
        waiting = await self._source.backlog() if self._is_open and not ended else None
        stands_still = not ended and (waiting or self._done < self._events)
        return {
            "port": self._port,
            "channel": self._channel,
            "events": self._events,
            "bytes": self._bytes,
            "done": self._done,
            "waiting": waiting,
            "stalled": round(_now() - self._moved, 1) if stands_still else 0.0,
            **_away(None if ended else away(self._source)),
        }


class CountedOutput:
    """An output, and what went through it."""

    def __init__(self, output: Output, port: str, channel: str) -> None:
        self._output = output
        self._port = port
        self._channel = channel
        self._events = self._bytes = self._under_way = 0
        self._is_open = False
        self._moved = 0.0
        """When something was last safe, or came where nothing was under way; by the loop's clock."""

    async def open(self) -> None:
        await self._output.open()
        self._is_open = True

    async def write(self, data: bytes) -> Receipt[None]:
        if not self._under_way:
            self._moved = _now()
        self._under_way += 1
        receipt = await self._output.write(data)
        receipt.add_done_callback(self._receive)
        self._events += count_events(data)
        self._bytes += len(data)
        return receipt

    async def leave(self) -> None:
        await leave(self._output)

    async def close(self) -> None:
        await self._output.close()

    def _receive(self, _receipt: Receipt[None]) -> None:
        self._under_way -= 1
        self._moved = _now()

    async def describe(self, *, ended: bool) -> dict[str, object]:
        """`ended`: as of an input."""
        blocked = self._under_way and not ended
        consumers = await lags(self._output) if self._is_open and not ended else {}
        return {
            "port": self._port,
            "channel": self._channel,
            "events": self._events,
            "bytes": self._bytes,
            **({"consumers": consumers} if consumers else {}),
            "blocked": round(_now() - self._moved, 1) if blocked else 0.0,
            **_away(None if ended else away(self._output)),
        }


class Traffic:
    """All ends of one job, and the file that tells of them."""

    def __init__(self, path: Path, counts: Counts) -> None:
        self._path = path
        self._counts = counts
        self._inputs: list[CountedInput] = []
        self._outputs: list[CountedOutput] = []
        self._said = b""
        self._is_ready = False
        self._error = ""
        self._news = asyncio.Event()

    def input(self, source: Input, port: str, channel: str) -> Input:
        self._inputs.append(CountedInput(source, port, channel))
        return self._inputs[-1]

    def output(self, output: Output, port: str, channel: str) -> Output:
        self._outputs.append(CountedOutput(output, port, channel))
        return self._outputs[-1]

    async def run(self, complain: Callable[[str], object]) -> None:
        """Write the file again and again; where that fails the job goes on, and people are told by `complain`.

        Not at once: one that fails again and again says why all the time.
        """
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), INTERVAL_SECONDS)
            self._news.clear()
            try:
                await self.write()
            except JobError as error:
                complain(error.message)

    def say_ready(self) -> None:
        """Have the file say at once that the job is ready: whoever started it may be waiting for that."""
        self._is_ready = True
        self._news.set()

    def fail(self, error: str) -> None:
        """The last that the file says is why the process ends."""
        self._error = one_line(error)

    async def write(self, *, ended: bool = False) -> None:
        """Write the file if it would say something else than last time, or is gone. Raises JobError."""
        inputs = [await one.describe(ended=ended) for one in self._inputs[:MOST_ENDS]]
        outputs = [await one.describe(ended=ended) for one in self._outputs[:MOST_ENDS]]
        content = json.dumps(
            {
                "format": 1,
                "pid": os.getpid(),
                "ready": self._is_ready and not ended,
                "read": self._counts.read,
                "done": self._counts.acknowledged,
                "failed": self._counts.failed,
                **({"error": self._error} if self._error else {}),
                "inputs": inputs,
                "outputs": outputs,
            }
        ).encode()
        if content == self._said and self._path.exists():  # where /tmp is cleaned, an idle job's would be missing
            return
        aside = self._path.with_name(f".{self._path.name}.writing")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(content)
            aside.replace(self._path)
        except OSError as error:
            raise failed("write", self._path, error) from error
        self._said = content


def _away(found: Away | None) -> dict[str, object]:
    return {} if found is None else {"away": {"message": found.message, "seconds": round(found.seconds, 1)}}


def _now() -> float:
    return asyncio.get_running_loop().time()
