"""The two ends of a filter: an Output that writes to its stdin, an Input that reads its stdout."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from typing import TYPE_CHECKING

from gitopsd.runner.errors import JobError
from gitopsd.runner.flow import Batch, Receipt, settle
from gitopsd.runner.lines import (
    BLOCK_BYTES,
    EVENT_BYTES,
    NotUtf8Error,
    check_utf8,
    holds_too_long,
    whole_lines,
    without_blank_lines,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.exec_filter.process import FilterProcess

LOOK_SECONDS = 0.005
LOOK_SECONDS_IDLE = 0.25


class FilterSink:
    """Gives receipts for what the filter has read, which is more than what the pipe to it has taken."""

    def __init__(self, process: FilterProcess, context: Context) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self._written = 0
        self._waiting: deque[tuple[int, Receipt[None]]] = deque()
        self._more = asyncio.Event()
        self._spawn = context.spawn

    async def open(self) -> None:
        self._spawn(self._give_receipts())

    async def close(self) -> None:
        return  # the process is its source's to end

    async def write(self, data: bytes) -> Receipt[None]:
        receipt: Receipt[None] = asyncio.get_running_loop().create_future()
        async with self._turn:
            rest = memoryview(data)
            while rest:
                taken = _write_some(self._process.stdin, rest)
                if taken is None:
                    return receipt  # never given: the filter has gone, and its other end says why
                if taken == 0:
                    await self._process.writable()
                self._written += taken
                rest = rest[taken:]
            self._waiting.append((self._written, receipt))
            self._more.set()
        return receipt

    async def _give_receipts(self) -> None:
        delay = LOOK_SECONDS
        while True:
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
                delay = LOOK_SECONDS
            read = self._written - self._process.unread()
            while self._waiting and self._waiting[0][0] <= read:
                settle(self._waiting.popleft()[1])
                delay = LOOK_SECONDS
            if self._waiting:
                await asyncio.sleep(delay)
                delay = min(delay * 2, LOOK_SECONDS_IDLE)


class FilterSource:
    """The filter's lines as events: UTF-8, blank lines dropped. There is nothing to acknowledge them to."""

    def __init__(self, process: FilterProcess) -> None:
        self._process = process

    async def open(self) -> None:
        await self._process.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._process.reload)

    def stop(self) -> None:
        self._process.end_input()

    async def backlog(self) -> None:
        """What a filter holds can't be seen."""

    async def close(self) -> None:
        await self._process.close()

    async def batches(self) -> AsyncIterator[Batch]:
        stdout = self._process.stdout
        parts: list[bytes] = []
        size = 0
        while stdout is not None and (data := await stdout.read(BLOCK_BYTES)):
            end = whole_lines(data)
            if end and (events := self._events(b"".join([*parts, data[:end]]))):
                yield Batch(events, _nothing_to_acknowledge)
            parts = [data[end:]] if end else [*parts, data]
            size = len(data) - end if end else size + len(data)
            if size >= EVENT_BYTES:
                raise self._too_long()
        rest = b"".join(parts)
        if rest and (events := self._events(rest + b"\n")):
            yield Batch(events, _nothing_to_acknowledge)
        await self._process.ended()

    def _events(self, data: bytes) -> bytes:
        if holds_too_long(data):
            raise self._too_long()
        try:
            check_utf8(data)
        except NotUtf8Error as error:
            raise JobError(f"{self._process.name} wrote a line that is not UTF-8; events must be") from error
        return without_blank_lines(data)

    def _too_long(self) -> JobError:
        return JobError(f"{self._process.name} wrote a line longer than {EVENT_BYTES >> 20} MiB; shorten it")


def _nothing_to_acknowledge() -> None:
    return


def _write_some(fd: int, data: memoryview) -> int | None:
    """How many bytes a pipe or socket took, 0 while it is full; None once nobody reads it."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except (BrokenPipeError, ConnectionResetError):
        return None
