from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Callable, NamedTuple

from gitopsd.runner.errors import JobError
from gitopsd.runner.polling import IdleWait
from gitopsd.runner.transports.object_store import manifests, segments
from gitopsd.runner.transports.object_store.segments import Segment

if TYPE_CHECKING:
    from gitopsd.runner.report import Reporter
    from gitopsd.runner.transports.object_store.manifests import Manifest
    from gitopsd.runner.transports.object_store.position import Position
    from gitopsd.runner.transports.object_store.store import Page, Store

IDLE_SECONDS = 4.0
"""Between looks where nothing happens: each costs one request for each writer."""

WRITERS_SECONDS = 15.0
"""Between looks for new writers, and at what the other replicas have done while there is work. The first ones follow
each other sooner: the producers of a new workflow start one after the other.
"""

LISTED_AT_MOST = 5000
"""Segments of one writer that are known and not yet read; more are looked for when these are fewer."""


class Found(NamedTuple):
    writer: str
    key: str
    segment: Segment
    lowest: int
    """From here to the segment's own number the writer has no other one."""


class _Writer:
    """One writer's segments, as far as they were listed."""

    def __init__(self, name: str, etag: str) -> None:
        self.name = name
        self.etag = etag
        self.ended = False
        self.listed: Segment | None = None
        """The last one that was seen; None before the first look."""
        self.after = 0
        """Numbers up to this one need no listing."""
        self.waiting: deque[Found] = deque()
        self.taken: dict[int, int] = {}
        """Events of segments that were handed out and aren't done, by number."""


class Watch:
    """Finds the segments that this replica has to read: lists only what is new since the last look."""

    def __init__(
        self,
        store: Store,
        position: Position,
        reporter: Reporter,
        *,
        seconds: float,
        is_ours: Callable[[str, int], bool],
    ) -> None:
        self._store = store
        self._position = position
        self._reporter = reporter
        self._is_ours = is_ours
        self._seconds = seconds
        self._idle = IdleWait(seconds, max(seconds, IDLE_SECONDS))
        self._writers: dict[str, _Writer] = {}
        self._turns: deque[str] = deque()
        self._more = asyncio.Event()
        self._looking = asyncio.Lock()
        self._looked = self._looked_for_writers = float("-inf")
        self._until_writers = seconds

    def stop(self) -> None:
        self._idle.stop()

    async def begin(self) -> None:
        """Learn where this step is, and look for the first time. Raises JobError."""
        await self._position.learn()
        await self._look()

    async def run(self, beginning: asyncio.Future[None]) -> None:
        """Look again and again, more rarely while nothing comes. Raises JobError."""
        await beginning
        self._more.set()
        while not self._idle.stopped:
            await self._idle.wait()
            if await self._look():
                self._idle.reset()
                self._more.set()

    async def look_anew(self) -> bool:
        """Look for writers and all that they wrote; whether one of them hasn't ended. Raises JobError."""
        self._looked_for_writers = float("-inf")
        if await self._look():
            self._idle.reset()
            self._more.set()
        return not all(writer.ended for writer in self._writers.values())

    async def next(self) -> Found:
        """The next segment to read, of each writer in turn so that none of them starves."""
        while True:
            for _ in range(len(self._turns)):
                self._turns.rotate(-1)
                writer = self._writers[self._turns[-1]]
                while writer.waiting:
                    found = writer.waiting.popleft()
                    if not self._position.has_done(writer.name, found.segment.sequence):
                        writer.taken[found.segment.sequence] = found.segment.events
                        return found
            self._more.clear()
            await self._more.wait()

    def forget(self, found: Found) -> None:
        """It is done, or gone."""
        self._writers[found.writer].taken.pop(found.segment.sequence, None)

    def undone_events(self) -> int | None:
        """None where the last look is too long ago to tell."""
        if _now() - self._looked > 2 * IDLE_SECONDS:
            return None
        return sum(
            sum(found.segment.events for found in writer.waiting) + sum(writer.taken.values())
            for writer in self._writers.values()
        )

    async def _look(self) -> bool:
        async with self._looking:
            return await self._look_in_turn()

    async def _look_in_turn(self) -> bool:
        due = _now() - self._looked_for_writers > self._until_writers
        if due and any(writer.waiting for writer in self._writers.values()):
            await self._position.learn()
        if due:
            await self._look_for_writers()
        found = [await self._list(writer) for writer in list(self._writers.values())]
        self._looked = _now()
        return any(found)

    async def _look_for_writers(self) -> None:
        stored = {
            name: entry.etag
            for entry in await self._store.all(manifests.FOLDER)
            if (name := manifests.writer_of(entry.key)) is not None
        }
        for name, etag in stored.items():
            known = self._writers.get(name)
            if known is not None and known.etag == etag:
                continue
            manifest = await self._manifest(name)
            self._position.skip_removed(name, manifest)
            if known is None:
                known = self._writers[name] = _Writer(name, etag)
                known.after = self._position.done_from_the_start(name)
                self._turns.append(name)
                self._until_writers = self._seconds
            known.etag, known.ended = etag, manifest.ended
        for gone in [name for name, writer in self._writers.items() if name not in stored and not writer.taken]:
            del self._writers[gone]
            self._turns.remove(gone)
        self._position.keep_only(self._writers)
        self._looked_for_writers = _now()
        self._until_writers = min(self._until_writers * 1.5, WRITERS_SECONDS if self._writers else IDLE_SECONDS)

    async def _list(self, writer: _Writer) -> bool:
        """What is new of a writer, up to the page that holds something of ours, if one does. Raises JobError."""
        if len(writer.waiting) >= LISTED_AT_MOST:
            return False
        folder = segments.folder(writer.name)
        before = -1
        while before < writer.after:
            before = writer.after
            page = await self._store.page(folder, after=segments.after(writer.name, before))
            if await self._take(writer, folder, page):
                return True
            if page.is_last:
                break
        return False

    async def _take(self, writer: _Writer, folder: str, page: Page) -> bool:
        """Whether some of it is ours. Raises JobError."""
        ours = False
        for stored in page.objects:
            segment = Segment.parse(stored.key[len(folder) :])
            if segment is None:
                continue
            await self._check_order(writer, segment)
            found = Found(writer.name, stored.key, segment, writer.after + 1)
            writer.after, writer.listed = segment.sequence, segment
            if self._is_ours(writer.name, segment.sequence) and not self._position.has_done(
                writer.name, segment.sequence
            ):
                writer.waiting.append(found)
                ours = True
        return ours

    async def _check_order(self, writer: _Writer, segment: Segment) -> None:
        """Say what is missing before this segment. Raises JobError where two bear one number."""
        before = writer.listed
        if before is None:
            return
        if before.sequence == segment.sequence:
            raise JobError(
                f"{self._store}{segments.folder(writer.name)} holds two segments of one number, {before.name} and"
                f" {segment.name}: two workers write with one state, such as that of a copied machine; remove the job's"
                " state directory on one of them, and rename one of the objects to a number that is free"
            )
        expected = before.first + before.events
        if segment.first > expected:
            expected = max(expected, (await self._manifest(writer.name)).first_event)
            await self._position.learn()
            done = all(self._position.has_done(writer.name, n) for n in range(before.sequence + 1, segment.sequence))
            if segment.first > expected and not done:
                self._reporter.say(
                    f"{segment.first - expected} events of {writer.name} are missing in {self._store} before"
                    f" {segment.name}: somebody, or a rule of the bucket, removed them; restore them if they matter"
                )

    async def _manifest(self, writer: str) -> Manifest:
        return await manifests.get(self._store, writer) or manifests.NEW


def _now() -> float:
    return asyncio.get_running_loop().time()
