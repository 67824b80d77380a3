from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING

from gitopsd.runner.transports.file_store.cursors import NOTHING, Cursor
from gitopsd.runner.transports.object_store import manifests, segments
from gitopsd.runner.transports.object_store.manifests import Manifest
from gitopsd.runner.transports.object_store.positions import Positions
from gitopsd.runner.transports.object_store.segments import Segment

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gitopsd.runner.transports.object_store.identity import Identity
    from gitopsd.runner.transports.object_store.store import Page, Store

REMOVE_SECONDS = 5.0
REMOVE_SECONDS_IDLE = 60.0

OTHERS_SECONDS = 600.0
"""Between looks at the writers that may be gone: of jobs that moved, or of replicas that are no more."""

RETIRED = timedelta(days=1)
"""A manifest without segments that is older belongs to nobody; one in use is put again every ten minutes."""


class Removal:
    """Removes segments that every consuming step has done, in order and never a later one before an earlier."""

    def __init__(self, store: Store, identity: Identity, steps: Sequence[str], *, keep_seconds: float) -> None:
        self._store = store
        self._identity = identity
        self._keep = timedelta(seconds=keep_seconds)
        self._positions = {step: Positions(store, step, _told_by_the_reader) for step in steps}
        self._lags = dict.fromkeys(steps, 0)
        """As of the last look: events of ours that a step has not done, as far as they were listed."""
        self._put = 0
        """Events that were put since."""
        self._stored = True
        """Whether something of ours may be stored."""
        self._after = 0
        """Nothing of ours is stored up to this number; a process before this one may have left something anywhere."""

    def expect(self, events: int) -> None:
        """A segment was put."""
        self._stored = True
        self._put += events

    def lags(self) -> dict[str, int | None]:
        """What each step has not done of what this writer put. It costs no request, and may be a minute old."""
        return {step: lag + self._put for step, lag in self._lags.items()}

    async def run(self) -> None:
        """Raises JobError."""
        if not self._positions:
            return
        await self._identity.begun.wait()
        loop = asyncio.get_running_loop()
        delay = REMOVE_SECONDS
        # not all producers of a channel at once
        others_due = loop.time() + OTHERS_SECONDS * random.uniform(0.1, 1.0)  # noqa: S311 -- jitter, not a secret
        while True:
            await asyncio.sleep(delay)
            removed = await self._remove_own() if self._stored else 0
            delay = REMOVE_SECONDS if removed else min(delay * 2, REMOVE_SECONDS_IDLE)
            if loop.time() > others_due:
                await self._remove_others()
                others_due = loop.time() + OTHERS_SECONDS

    async def _remove_own(self) -> int:
        """How many; the manifest says so first, so that no reader takes them for lost."""
        writer = self._identity.writer
        self._stored, put = False, self._put  # a segment that is put from here on says so again
        page = await self._store.page(segments.folder(writer), after=segments.after(writer, self._after))
        self._stored = self._stored or bool(page.objects)
        known = await self._known() if page.objects else {}
        self._lags = {step: _left(writer, page, known.get(step, {})) for step in self._positions}
        self._put -= put
        done = self._done(writer, page, known.values()) if page.objects else []
        if done:
            last = done[-1]
            if last.sequence >= self._identity.manifest.first:
                await self._identity.put_manifest(Manifest(last.sequence + 1, last.first + last.events))
            await self._delete(writer, done)
            self._after = last.sequence
        return len(done)

    async def _remove_others(self) -> None:
        """Never touches the manifest of a writer that may be alive."""
        cursors = await self._known()
        for entry in await self._store.all(manifests.FOLDER):
            writer = manifests.writer_of(entry.key)
            if writer is None or writer == self._identity.writer:
                continue
            page = await self._store.page(segments.folder(writer))
            await self._delete(writer, self._done(writer, page, cursors.values()))
            if not page.objects and page.now - entry.modified > RETIRED:
                await self._store.delete(entry.key)

    async def _known(self) -> dict[str, Cursor]:
        """What each consuming step has done."""
        return {step: await positions.refresh() for step, positions in self._positions.items()}

    def _done(self, writer: str, page: Page, cursors: Collection[Cursor]) -> list[Segment]:
        """The segments at the beginning of the page that every step has done, and that were kept long enough."""
        done: list[Segment] = []
        for stored in page.objects:
            segment = Segment.parse(stored.key.rpartition("/")[2])
            if segment is None:
                continue
            if page.now - stored.modified < self._keep:
                break
            if not all(cursor.get(writer, NOTHING).has_done(segment.sequence) for cursor in cursors):
                break
            done.append(segment)
        return done

    async def _delete(self, writer: str, done: list[Segment]) -> None:
        for segment in done:
            await self._store.delete(segments.folder(writer) + segment.name)


def _left(writer: str, page: Page, cursor: Cursor) -> int:
    """The events of a page that a step has not done."""
    progress = cursor.get(writer, NOTHING)
    found = (Segment.parse(stored.key.rpartition("/")[2]) for stored in page.objects)
    return sum(one.events for one in found if one is not None and not progress.has_done(one.sequence))


def _told_by_the_reader(_key: str, _error: ValueError) -> None:
    """A damaged cursor counts as empty, so nothing is removed; its own job says so, loudly."""
