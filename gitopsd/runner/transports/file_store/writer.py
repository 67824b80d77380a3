from __future__ import annotations

import asyncio
import os
import time
import zlib
from typing import TYPE_CHECKING

from gitopsd.runner.checkpoint import sync_directory
from gitopsd.runner.errors import failed
from gitopsd.runner.flow import Receipt, settle
from gitopsd.runner.lines import write_all
from gitopsd.runner.lock import try_lock
from gitopsd.runner.polling import Backoff
from gitopsd.runner.transports.file_store import cursors, segments
from gitopsd.runner.transports.file_store.directories import LOCK, channel_directory, make_directory

if TYPE_CHECKING:
    from pathlib import Path

    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

MOST_SECONDS = 1.0
"""A segment is sealed at most this long after its first event, however steadily more arrive."""

SEGMENT_BYTES = 8 * 1024 * 1024
LINGER_SECONDS = 0.1
REMOVE_SECONDS = 1.0
REMOVE_SECONDS_IDLE = 10.0


class FileStoreOutput:
    """Writes one producer's segments and removes those that every consuming step has done.

    One process at a time writes as a producer: a lock makes a second one wait, as happens when a job moves and starts
    at its destination before it ends where it was. The newest segment always stays, since its name says where the
    producer goes on.
    """

    def __init__(self, endpoint: Settings, context: Context) -> None:
        self._channel = channel_directory(endpoint, context)
        self._directory = self._channel / "segments" / endpoint.text("producer")
        self._producer = endpoint.text("producer")
        self._steps = [self._channel / "consumers" / step for step in endpoint.section("consumers").names()]
        self._segment_bytes = endpoint.integer("segment_bytes", SEGMENT_BYTES)
        self._linger = endpoint.number("linger", LINGER_SECONDS)
        self._context = context
        self._turn = asyncio.Lock()
        self._begun = asyncio.Event()
        self._lock: int | None = None
        self._waiting: int | None = None
        """The lock's file until the first write, whether or not the lock is ours by then."""
        self._next = segments.Segment(0, 0, 0, 0)
        self._writing: _Writing | None = None
        self._sealing: asyncio.Future[None] | None = None

    async def open(self) -> None:
        make_directory(self._channel, below=self._directory)
        if not os.access(self._directory, os.W_OK):
            raise failed("write to", self._directory, PermissionError(13, os.strerror(13)))
        # from the start on, where it is free, so that readers know that somebody may write
        self._waiting = self._open_lock()
        try_lock(self._waiting, self._directory / LOCK)
        self._context.spawn(self._seal_what_lingers())
        self._context.spawn(self._remove_what_is_done())

    async def write(self, data: bytes) -> Receipt[None]:
        async with self._turn:
            if self._lock is None:
                self._lock = await self._own_the_producer()
                await asyncio.get_running_loop().run_in_executor(None, self._remove)  # it may be gone again in no time
                self._next = self._continue_from()
            if self._writing is None:
                self._writing = _Writing(self._directory / ".writing")
                self._begun.set()
            receipt = self._writing.append(data)
            if self._writing.size >= self._segment_bytes:
                await self._seal()
            return receipt

    async def lags(self) -> dict[str, int | None]:
        """Of the segments that this producer wrote; one that is done in part counts whole."""
        return await asyncio.get_running_loop().run_in_executor(None, self._lags)

    async def close(self) -> None:
        if self._sealing is not None:
            await asyncio.wait({self._sealing})
        if self._writing is not None:  # unacknowledged, so it is delivered again
            self._writing.discard()
        for fd in (self._lock, self._waiting):
            if fd is not None:
                os.close(fd)

    async def _seal(self) -> None:
        writing = self._writing
        if writing is None:
            return
        self._begun.clear()
        segment = self._next._replace(events=writing.count, crc=writing.crc)
        self._sealing = asyncio.get_running_loop().run_in_executor(None, writing.seal, self._directory / segment.name)
        await asyncio.shield(self._sealing)
        self._writing = None
        self._next = segments.Segment(segment.sequence + 1, segment.first + segment.events, 0, 0)
        settle(writing.receipt)

    async def _seal_what_lingers(self) -> None:
        while True:
            await self._begun.wait()
            writing = self._writing
            if writing is None:
                continue
            left = min(writing.last + self._linger, writing.began + MOST_SECONDS) - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
                continue
            async with self._turn:
                if self._writing is writing:
                    await self._seal()

    def _open_lock(self) -> int:
        path = self._directory / LOCK
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise failed("open", path, error) from error

    async def _own_the_producer(self) -> int:
        path = self._directory / LOCK
        backoff = Backoff()
        fd = self._waiting if self._waiting is not None else self._open_lock()
        self._waiting = None
        while not try_lock(fd, path):
            self._context.reporter.say_rarely(
                "lock",
                f"waiting: another process writes as {self._producer} in {self._channel}; if it isn't about to end,"
                " stop it or give one of the jobs another name",
            )
            await asyncio.sleep(backoff.next())
        return fd

    def _continue_from(self) -> segments.Segment:
        """The segment to write next. Its number is new even where somebody emptied the directory by hand: a number
        that consumers know as done would never be read.
        """
        try:
            stored = segments.listing(self._directory)
            known = [self._done_by(step) for step in self._steps]
        except OSError as error:
            raise failed("read", self._channel, error) from error
        last = stored[-1] if stored else segments.Segment(0, 0, 0, 0)
        used = [last.sequence, *(progress.done[-1][1] for progress in known if progress.done)]
        used += [number for progress in known for number in progress.under_way]
        return segments.Segment(max(used) + 1, last.first + last.events, 0, 0)

    async def _remove_what_is_done(self) -> None:
        delay = REMOVE_SECONDS
        while True:
            await asyncio.sleep(delay)
            removed = await asyncio.get_running_loop().run_in_executor(None, self._remove)
            delay = REMOVE_SECONDS if removed else min(delay * 2, REMOVE_SECONDS_IDLE)

    def _remove(self) -> int:
        """Remove every segment but the newest that all consuming steps have done, and return how many."""
        removed = 0
        try:
            stored = segments.listing(self._directory)[:-1]
            if not stored or not self._steps:
                return 0
            known = [self._done_by(step) for step in self._steps]
            for segment in stored:
                if all(progress.has_done(segment.sequence) for progress in known):
                    (self._directory / segment.name).unlink(missing_ok=True)
                    removed += 1
        except OSError as error:
            raise failed("remove segments from", self._directory, error) from error
        return removed

    def _lags(self) -> dict[str, int | None]:
        try:
            stored = segments.listing(self._directory)
            known = [self._done_by(step) for step in self._steps]
        except OSError:
            return {step.name: None for step in self._steps}  # whoever has to read or write there says why
        return {
            step.name: sum(segment.events for segment in stored if not progress.has_done(segment.sequence))
            for step, progress in zip(self._steps, known)
        }

    def _done_by(self, step: Path) -> cursors.Progress:
        cursor = cursors.read_step(step, lambda _path, _error: None)  # the consumer says so, loudly
        return cursor.get(self._producer, cursors.NOTHING)


class _Writing:
    """The segment under way: a file aside that becomes a segment by being renamed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = self.size = self.crc = 0
        self.began = self.last = time.monotonic()
        self.receipt: Receipt[None] = asyncio.get_running_loop().create_future()
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise failed("write", path, error) from error

    def append(self, data: bytes) -> Receipt[None]:
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise failed("write", self._path, error) from error
        self.count += data.count(b"\n")
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self.last = time.monotonic()
        return self.receipt

    def seal(self, path: Path) -> None:
        try:
            os.fsync(self._fd)
            self._path.rename(path)
            sync_directory(path.parent)
        except OSError as error:
            raise failed("seal the segment", path, error) from error
        finally:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._path.unlink(missing_ok=True)
