from __future__ import annotations

import asyncio
import os
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.checkpoint import Checkpoint
from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.flow import RESTART_SECONDS, Batch
from gitopsd.runner.lines import EVENT_BYTES, EventTooLongError, read_lines
from gitopsd.runner.lock import is_locked
from gitopsd.runner.polling import IdleWait
from gitopsd.runner.transports.file_store import cursors, segments
from gitopsd.runner.transports.file_store.directories import LOCK, channel_directory, make_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings


class _Found(NamedTuple):
    producer: str
    path: Path
    segment: segments.Segment


class FileStoreInput:
    """One replica's share of the segments: those whose sequence number modulo `replicas` is its own number.

    Order is kept for each producer. What other replicas did counts as done, so that after a change of `replicas`
    nothing is left out; while old and new replicas run side by side a segment may be delivered twice.
    """

    def __init__(self, endpoint: Settings, context: Context) -> None:
        self._channel = channel_directory(endpoint, context)
        self._replica = endpoint.integer("replica", 0)
        self._replicas = endpoint.integer("replicas", 1)
        self._step = self._channel / "consumers" / endpoint.text("consumer")
        self._context = context
        self._cursor: cursors.Cursor = {}
        self._others: set[tuple[str, int, int]] = set()
        self._taken: set[tuple[str, int]] = set()  # read, but not acknowledged to the end
        self._idle = IdleWait()
        self._file = f"{endpoint.text('cursor', str(self._replica))}.json"
        self._checkpoint = Checkpoint(self._step / self._file, lambda: cursors.dump(self._cursor))

    async def open(self) -> None:
        make_directory(self._channel, below=self._step)
        try:
            self._cursor = cursors.read_step(self._step, self._explain_damaged)
        except OSError as error:
            raise failed("read the position in", self._step, error) from error
        self._context.spawn(self._checkpoint.run())

    def stop(self) -> None:
        self._idle.stop()

    async def backlog(self) -> int:
        """The events of this replica's segments that aren't done; a segment that is done in part counts whole."""
        try:
            self._merge_cursors()
            stored = segments.producers(self._channel)
            return sum(
                segment.events for producer, directory in stored.items() for segment in self._own(producer, directory)
            )
        except OSError as error:
            raise failed("look for segments in", self._channel, error) from error

    async def close(self) -> None:
        await self._checkpoint.save()

    async def is_fed(self) -> bool:
        try:
            return any(is_locked(directory / LOCK) for directory in segments.producers(self._channel).values())
        except OSError as error:
            raise failed("look for producers in", self._channel, error) from error

    def returns_within(self) -> float:
        """While it is restarted it looks as one that has ended."""
        return RESTART_SECONDS

    async def batches(self) -> AsyncIterator[Batch]:
        while not self._idle.stopped:
            found = False
            for entry in self._undone():
                found = True
                async for batch in self._read(entry):
                    yield batch
            if found:
                self._idle.reset()
            else:
                await self._idle.wait()

    def _undone(self) -> Iterator[_Found]:
        """What is ours and not yet taken, one segment of each producer in turn so that none of them starves."""
        try:
            self._merge_cursors()
            shares = [self._share(*item) for item in sorted(segments.producers(self._channel).items())]
        except OSError as error:
            raise failed("look for segments in", self._channel, error) from error
        for row in zip_longest(*shares):
            yield from (entry for entry in row if entry is not None)

    def _share(self, producer: str, directory: Path) -> list[_Found]:
        return [
            _Found(producer, directory / segment.name, segment)
            for segment in self._own(producer, directory)
            if (producer, segment.sequence) not in self._taken
        ]

    def _own(self, producer: str, directory: Path) -> list[segments.Segment]:
        """A producer's segments that are this replica's to read, and not done. Raises OSError, JobError."""
        progress = self._cursor.get(producer, cursors.NOTHING)
        return [
            segment
            for segment in segments.listing(directory)
            if cursors.replica_for(producer, segment.sequence, self._replicas) == self._replica
            and not progress.has_done(segment.sequence)
        ]

    async def _read(self, entry: _Found) -> AsyncIterator[Batch]:
        producer, path, segment = entry
        try:
            size = await asyncio.get_running_loop().run_in_executor(None, segments.verify, path, segment)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._explain_vanished(entry)
            return
        try:
            offset = _line_start(fd, self._cursor.get(producer, cursors.NOTHING).start_of(segment.sequence), size)
            self._taken.add((producer, segment.sequence))
            while offset < size and not self._idle.stopped:
                data = _next_lines(fd, offset, path)
                offset += len(data)
                yield Batch(data, partial(self._acknowledge, producer, segment.sequence, offset, offset == size))
        finally:
            os.close(fd)

    def _acknowledge(self, producer: str, sequence: int, offset: int, whole: bool) -> None:
        progress = self._cursor.get(producer, cursors.NOTHING)
        if whole:
            self._taken.discard((producer, sequence))
            self._cursor[producer] = progress.finish(sequence)
        else:
            self._cursor[producer] = progress.reach(sequence, offset)
        self._checkpoint.touch()

    def _merge_cursors(self) -> None:
        """Learn what other replicas have done; costs one directory listing while none of them moves. Raises OSError."""
        files = [entry for entry in os.scandir(self._step) if not entry.name.startswith(".")]
        others = [entry for entry in files if entry.name != self._file]
        signature = {(entry.name, entry.stat().st_mtime_ns, entry.inode()) for entry in others}
        if signature == self._others:
            return
        self._others = signature
        for producer, progress in cursors.read_step(self._step, self._explain_damaged).items():
            self._cursor[producer] = self._cursor.get(producer, cursors.NOTHING).merge(progress)

    def _explain_damaged(self, path: Path, error: ValueError) -> None:
        self._context.reporter.say(
            f"{path} is damaged ({error}): taken as empty, so what it listed and is still stored comes again"
        )

    def _explain_vanished(self, entry: _Found) -> None:
        self._merge_cursors()
        if not self._cursor.get(entry.producer, cursors.NOTHING).has_done(entry.segment.sequence):
            self._context.reporter.say(
                f"{entry.path} was removed before it was read; if its {entry.segment.events} events matter, restore it"
            )


def _next_lines(fd: int, offset: int, path: Path) -> bytes:
    try:
        data = read_lines(fd, offset)
    except EventTooLongError:
        raise JobError(
            f"the segment {path} holds an event longer than {EVENT_BYTES >> 20} MiB, which no channel carries; move it"
            " away to go on without it"
        ) from None
    except OSError as error:
        raise failed("read the segment", path, error) from error
    if not data:
        raise JobError(f"the segment {path} changed while it was read; restore it from a backup")
    return data


def _line_start(fd: int, offset: int, size: int) -> int:
    """`offset`, or 0 where no line of the segment begins there: then the cursor is of something else."""
    return offset if 0 < offset <= size and os.pread(fd, 1, offset - 1) == b"\n" else 0
