from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gitopsd.runner.transports.file_store.cursors import NOTHING, Cursor, Progress
from gitopsd.runner.transports.object_store import positions
from gitopsd.runner.transports.object_store.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Collection

    from gitopsd.runner.report import Reporter
    from gitopsd.runner.transports.object_store.manifests import Manifest
    from gitopsd.runner.transports.object_store.store import Store

SAVE_SECONDS = 1.0
CLOSE_SECONDS = 3.0


class Position:
    """What one replica knows to be done, by itself and by the other replicas of its step; saved soon after it moves.

    When what is saved lags, a crash repeats events and loses none.
    """

    def __init__(self, store: Store, step: str, cursor: str, reporter: Reporter) -> None:
        self._store = store
        self._step = step
        self._name = cursor
        self._reporter = reporter
        self._all = Positions(store, step, self._explain_damaged)
        self._cursor: Cursor = {}
        self._moved = asyncio.Event()
        self._saving = asyncio.Lock()

    def has_done(self, writer: str, sequence: int) -> bool:
        return self._cursor.get(writer, NOTHING).has_done(sequence)

    def done_from_the_start(self, writer: str) -> int:
        """All segments up to this number are done."""
        done = self._cursor.get(writer, NOTHING).done
        return done[0][1] if done and done[0][0] <= 1 else 0

    def start_of(self, writer: str, sequence: int) -> int:
        return self._cursor.get(writer, NOTHING).start_of(sequence)

    def reach(self, writer: str, sequence: int, offset: int) -> None:
        self._cursor[writer] = self._cursor.get(writer, NOTHING).reach(sequence, offset)
        self._moved.set()

    def finish(self, writer: str, lowest: int, sequence: int) -> None:
        """Also what lies from `lowest` on: numbers that the writer left out."""
        self._merge(writer, Progress([(lowest, sequence)], {}))
        self._moved.set()

    def skip_removed(self, writer: str, manifest: Manifest) -> None:
        """What was removed was done by every step. This also keeps the ranges few."""
        if manifest.first > 1:
            self._merge(writer, Progress([(1, manifest.first - 1)], {}))

    def keep_only(self, writers: Collection[str]) -> None:
        """Forget writers that have no manifest any more."""
        self._cursor = {writer: progress for writer, progress in self._cursor.items() if writer in writers}

    async def learn(self) -> None:
        """Read what the replicas of this step have done, this one before its start included. Raises JobError."""
        for writer, progress in (await self._all.refresh()).items():
            self._merge(writer, progress)

    async def run(self) -> None:
        while True:
            await self._moved.wait()
            await self._save()
            await asyncio.sleep(SAVE_SECONDS)

    async def close(self) -> None:
        """Save what was acknowledged, unless the store is away."""
        try:
            await asyncio.wait_for(self._save(), CLOSE_SECONDS)
        except asyncio.TimeoutError:
            self._reporter.say(f"{self._store} is away, so its position isn't saved: some events will come again")

    async def _save(self) -> None:
        await asyncio.shield(self._save_in_turn())  # an older one mustn't overtake a newer one

    async def _save_in_turn(self) -> None:
        async with self._saving:
            if self._moved.is_set():
                self._moved.clear()
                await positions.put(self._store, self._step, self._name, self._cursor)

    def _merge(self, writer: str, progress: Progress) -> None:
        self._cursor[writer] = self._cursor.get(writer, NOTHING).merge(progress)

    def _explain_damaged(self, key: str, error: ValueError) -> None:
        self._reporter.say(
            f"{self._store}{key} is damaged ({error}): taken as empty, so what it listed and is stored comes again"
        )
