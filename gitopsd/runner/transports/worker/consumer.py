from __future__ import annotations

import asyncio
import errno
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.flow import RESTART_SECONDS, Batch
from gitopsd.runner.lines import EVENT_BYTES
from gitopsd.runner.tasks import end
from gitopsd.runner.transports.worker.wire import (
    ACKNOWLEDGEMENT,
    BUFFER_BYTES,
    GREETING_BYTES,
    GREETING_SECONDS,
    HEADER,
    PROTOCOL,
    ProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gitopsd.runner.job import Context

QUEUED_FRAMES = 4
TAKEOVER_SECONDS = 5.0


class WorkerInput:
    """Listens for producers; batches of all of them in the order in which they come, each producer's own order kept."""

    def __init__(self, path: Path, channel: str, context: Context) -> None:
        self._path = path
        self._channel = channel
        self._reporter = context.reporter
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0
        self._queue: asyncio.Queue[Batch | None] = asyncio.Queue(QUEUED_FRAMES)
        self._stopped = False
        self._unacknowledged = 0
        self._connections: set[asyncio.Future[Any]] = set()
        self._was_fed = False

    async def open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await self._remove_stale()
            listening = self._listen()
            self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=BUFFER_BYTES)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            raise failed("listen at", self._path, error) from error

    def stop(self) -> None:
        self._stopped = True
        if self._server is not None:
            self._server.close()
        if self._queue.empty():
            self._queue.put_nowait(None)  # wakes whoever waits

    async def backlog(self) -> int:
        """What came in and isn't acknowledged; what a producer still keeps is the producer's."""
        return self._unacknowledged

    async def is_fed(self) -> bool:
        return bool(self._connections)

    def returns_within(self) -> float:
        """One that drains as we do goes when it has ended, and not before it has come."""
        return 0.0 if self._was_fed else RESTART_SECONDS

    async def close(self) -> None:
        self.stop()
        await end(self._connections)
        if self._inode and self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink(missing_ok=True)

    async def batches(self) -> AsyncIterator[Batch]:
        while not self._stopped:
            batch = await self._queue.get()
            if batch is None:
                return
            yield batch

    async def _remove_stale(self) -> None:
        """Make way for our own socket, unless another process answers at it for TAKEOVER_SECONDS. Raises JobError."""
        deadline = asyncio.get_running_loop().time() + TAKEOVER_SECONDS
        while self._path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                probe.setblocking(False)  # a listener that is too busy to answer is one all the same
                if probe.connect_ex(str(self._path)) in (errno.ECONNREFUSED, errno.ENOENT):
                    self._path.unlink(missing_ok=True)
                    return
            if asyncio.get_running_loop().time() > deadline:
                raise JobError(f"another process listens at {self._path}; stop it, or wait until it has ended")
            await asyncio.sleep(0.1)

    def _listen(self) -> socket.socket:
        """Given a path, asyncio would take it from whoever came to listen there since `_remove_stale` looked."""
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.setblocking(False)
            listening.bind(str(self._path))
            self._path.chmod(0o660)
            listening.listen()
        except OSError:
            listening.close()
            raise
        return listening

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._talk(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._greet(reader, writer)
            self._was_fed = True
            await self._receive(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the producer left; it sends again what wasn't acknowledged
        except ProtocolError as error:
            self._reporter.say_rarely("protocol", f"closed a connection to {self._path}: {error}")
        finally:
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            greeting = await asyncio.wait_for(reader.readuntil(b"\n"), GREETING_SECONDS)
        except (asyncio.TimeoutError, asyncio.LimitOverrunError):
            greeting = b""
        words = greeting.decode(errors="replace").split()
        reason = None
        if len(greeting) > GREETING_BYTES or len(words) != 3 or words[0] != PROTOCOL:
            reason = f"this end speaks {PROTOCOL}"
        elif words[1] != self._channel:
            reason = f"this is the channel {self._channel}, not {words[1]}"
        if reason is not None:
            writer.write(f"refused {reason}\n".encode())
            raise ProtocolError(reason)
        writer.write(b"ok\n")

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        expected = 0
        while True:
            length, sequence = HEADER.unpack(await reader.readexactly(HEADER.size))
            if not 0 < length <= EVENT_BYTES:
                raise ProtocolError(f"a frame of {length} bytes, where 1 to {EVENT_BYTES} are allowed")
            if expected and sequence != expected:
                raise ProtocolError(f"frame {sequence} instead of {expected}")
            expected = sequence + 1
            lines = await reader.readexactly(length)
            if lines[-1:] != b"\n":
                raise ProtocolError(f"frame {sequence} doesn't end with a newline")
            events = lines.count(b"\n")
            self._unacknowledged += events
            await self._queue.put(Batch(lines, partial(self._acknowledge, writer, sequence, events)))

    def _acknowledge(self, writer: asyncio.StreamWriter, sequence: int, events: int) -> None:
        self._unacknowledged -= events
        if not writer.is_closing():
            writer.write(ACKNOWLEDGEMENT.pack(sequence))
