from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.flow import Receipt, settle
from gitopsd.runner.lines import frames
from gitopsd.runner.polling import Backoff
from gitopsd.runner.tasks import end
from gitopsd.runner.transports.worker.wire import (
    ACKNOWLEDGEMENT,
    BUFFER_BYTES,
    GREETING_SECONDS,
    HEADER,
    PROTOCOL,
    ProtocolError,
)
from gitopsd.runner.waiting import Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from gitopsd.runner.flow import Away
    from gitopsd.runner.job import Context

WINDOW_BYTES = 8 * 1024 * 1024
"""How much a producer keeps in memory until it is acknowledged; then it waits."""

WINDOW_FRAMES = 1024
AWAY_SECONDS = 5.0


class _Frame(NamedTuple):
    sequence: int
    lines: bytes
    receipt: Receipt[None] | None
    """To be given with this frame's acknowledgement: the last one of a write has it."""


class WorkerOutput:
    """Connects to one consuming step, again and again, and keeps what it hasn't acknowledged."""

    def __init__(self, path: Path, channel: str, context: Context) -> None:
        self._path = path
        self._greeting = f"{PROTOCOL} {channel} {context.job.name}\n".encode()
        self._channel = channel
        self._spawn = context.spawn
        self._waiting = Waiting(context.reporter, str(path), f"the consumer of {channel} answers again")
        self._frames: deque[_Frame] = deque()
        self._bytes = 0
        self._sent = 0
        """How many of the frames, from the oldest on, went out on the present connection."""
        self._sequence = 0
        self._backoff = Backoff()
        self._more, self._room = asyncio.Event(), asyncio.Event()

    async def open(self) -> None:
        self._spawn(self._stay_connected())

    async def write(self, data: bytes) -> Receipt[None]:
        receipt: Receipt[None] = asyncio.get_running_loop().create_future()
        left = len(data)
        for lines in frames(data):
            left -= len(lines)
            while self._frames and (self._bytes + len(lines) > WINDOW_BYTES or len(self._frames) >= WINDOW_FRAMES):
                self._room.clear()
                await self._room.wait()
            self._sequence += 1
            self._frames.append(_Frame(self._sequence, lines, None if left else receipt))
            self._bytes += len(lines)
            self._more.set()
        return receipt

    def away(self) -> Away | None:
        return self._waiting.away()

    async def close(self) -> None:
        return  # the connection ends with the task that holds it

    async def _stay_connected(self) -> None:
        """Raises nothing but cancellation: a consumer that is away is waited for."""
        away_since = asyncio.get_running_loop().time()
        while True:
            try:
                await self._connection()
                away_since = asyncio.get_running_loop().time()
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ProtocolError) as error:
                seconds = asyncio.get_running_loop().time() - away_since
                if isinstance(error, ProtocolError) or seconds > AWAY_SECONDS:
                    message = f"waiting for the consumer of {self._channel} at {self._path}: {error or 'no answer'}"
                    self._waiting.begin(message, seconds=seconds)
            await asyncio.sleep(self._backoff.next())

    async def _connection(self) -> None:
        """One connection, from greeting to end. Returns when the consumer left after it had accepted the greeting."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_unix_connection(str(self._path), limit=BUFFER_BYTES), GREETING_SECONDS
        )
        try:
            writer.write(self._greeting)
            answer = await asyncio.wait_for(reader.readline(), GREETING_SECONDS)
            if answer != b"ok\n":
                raise ProtocolError(answer.decode(errors="replace").strip() or "it closed the connection")
            self._waiting.end()
            self._sent = 0
            halves = [asyncio.ensure_future(self._send(writer)), asyncio.ensure_future(self._receive(reader))]
            try:
                await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(halves)
            for half in halves:
                if not half.cancelled() and isinstance(half.exception(), ProtocolError):
                    half.result()
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            while self._sent < len(self._frames):
                frame = self._frames[self._sent]
                self._sent += 1
                writer.write(HEADER.pack(len(frame.lines), frame.sequence))
                writer.write(frame.lines)
                await writer.drain()
            self._more.clear()
            await self._more.wait()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while True:
            (sequence,) = ACKNOWLEDGEMENT.unpack(await reader.readexactly(ACKNOWLEDGEMENT.size))
            if not self._sent or not self._frames[0].sequence <= sequence <= self._frames[self._sent - 1].sequence:
                raise ProtocolError(f"it acknowledged frame {sequence}, which isn't under way")
            while self._frames and self._frames[0].sequence <= sequence:
                frame = self._frames.popleft()
                self._sent -= 1
                self._bytes -= len(frame.lines)
                if frame.receipt is not None:
                    settle(frame.receipt)
            self._room.set()
            self._backoff.reset()
