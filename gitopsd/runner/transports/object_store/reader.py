from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.flow import RESTART_SECONDS, Away, Batch
from gitopsd.runner.lines import frames
from gitopsd.runner.transports.file_store.cursors import replica_for
from gitopsd.runner.transports.object_store import segments
from gitopsd.runner.transports.object_store.position import Position
from gitopsd.runner.transports.object_store.store import Store
from gitopsd.runner.transports.object_store.watch import Found, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings


class _Fetched(NamedTuple):
    found: Found
    lines: bytes


class ObjectStoreInput:
    """One replica's share of the segments, order kept for each writer.

    Holds two segments in memory at most: one on its way down, and one that was fetched ahead.
    What other replicas did counts as done, so that after a change of `replicas` nothing is left out; while old and new
    replicas run side by side a segment may be delivered twice.
    """

    def __init__(self, endpoint: Settings, context: Context) -> None:
        replica, replicas = endpoint.integer("replica", 0), endpoint.integer("replicas", 1)
        self._store = Store(endpoint, context.reporter)
        cursor = endpoint.text("cursor", str(replica))
        self._position = Position(self._store, endpoint.text("consumer"), cursor, context.reporter)
        self._watch = Watch(
            self._store,
            self._position,
            context.reporter,
            seconds=endpoint.number("linger", segments.LINGER_SECONDS),
            is_ours=lambda writer, sequence: replica_for(writer, sequence, replicas) == replica,
        )
        self._context = context
        self._fetched: asyncio.Queue[_Fetched | None] = asyncio.Queue(1)
        self._stopping = asyncio.Event()

    async def open(self) -> None:
        await self._store.open()
        self._context.spawn(self._watch.run(await self._store.first(self._watch.begin())))
        self._context.spawn(self._position.run())
        self._context.spawn(self._fetch_all())

    def stop(self) -> None:
        self._stopping.set()
        self._watch.stop()
        if self._fetched.empty():
            self._fetched.put_nowait(None)  # wakes whoever waits

    async def backlog(self) -> int | None:
        """Events of this replica's segments that aren't done, a segment that is done in part whole; None where the
        last look at the store is too long ago.
        """
        return self._watch.undone_events()

    async def is_fed(self) -> bool:
        """Looks at the store at once. Raises JobError."""
        return await self._watch.look_anew()

    def away(self) -> Away | None:
        return self._store.waiting.away()

    async def close(self) -> None:
        await self._position.close()

    def returns_within(self) -> float:
        """While it is restarted it looks as one that has ended."""
        return RESTART_SECONDS

    async def batches(self) -> AsyncIterator[Batch]:
        while not self._stopping.is_set():
            fetched = await self._fetched.get()
            self._fetched.task_done()
            if fetched is None:
                return
            for batch in self._cut(*fetched):
                if self._stopping.is_set():
                    return
                yield batch

    def _cut(self, found: Found, lines: bytes) -> Iterator[Batch]:
        """Blocks of whole lines from where this step goes on."""
        offset = self._position.start_of(found.writer, found.segment.sequence)
        if lines[offset - 1 : offset] != b"\n" or offset >= len(lines):
            offset = 0  # the cursor is of something else
        for block in frames(lines[offset:] if offset else lines):
            offset += len(block)
            yield Batch(block, partial(self._acknowledge, found, offset, offset == len(lines)))

    def _acknowledge(self, found: Found, offset: int, whole: bool) -> None:
        if whole:
            self._position.finish(found.writer, found.lowest, found.segment.sequence)
            self._watch.forget(found)
        else:
            self._position.reach(found.writer, found.segment.sequence, offset)

    async def _fetch_all(self) -> None:
        while True:
            found = await self._watch.next()
            await self._fetched.join()  # until the one before is taken
            content = await self._store.get(found.key)
            if content is None:
                await self._position.learn()
                if not self._position.has_done(found.writer, found.segment.sequence):
                    self._context.reporter.say(
                        f"{self._store}{found.key} was removed before it was read;"
                        f" if its {found.segment.events} events matter, restore it"
                    )
                self._watch.forget(found)
                continue
            decode = partial(segments.decode, f"{self._store}{found.key}", found.segment, content)
            lines = await asyncio.get_running_loop().run_in_executor(None, decode)
            if self._stopping.is_set():
                return
            self._fetched.put_nowait(_Fetched(found, lines))
            del content, decode, lines  # they would stay while this waits for the next
