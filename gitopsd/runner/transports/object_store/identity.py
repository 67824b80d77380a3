from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner import checkpoint
from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.lock import hold
from gitopsd.runner.transports.object_store import manifests, segments
from gitopsd.runner.transports.object_store.manifests import NEW, Manifest
from gitopsd.runner.transports.object_store.segments import Segment

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.transports.object_store.store import Store

RESERVED = 1000
"""Numbers that one write to the disk reserves."""

MANIFEST_SECONDS = 600.0
"""A manifest older than this is put again before the next segment: whoever retires writers goes by its age."""

LEAVE_SECONDS = 3.0


class _State(NamedTuple):
    writer: str
    next: int
    """Lower than any number that was never used."""


class Identity:
    """Who writes: a producer job with its state directory, and so one worker. It outlives restarts of the job.

    A job that moves gets another identity, hence no two workers ever write the same keys, also where the old one was
    only cut off. No number is used twice: a process that was killed may have put a segment that isn't listed yet.
    """

    def __init__(self, store: Store, producer: str, context: Context) -> None:
        self._store = store
        self._producer = producer
        self._reporter = context.reporter
        self._state = context.job.state / f"object-store-{sha256(str(store).encode()).hexdigest()[:12]}.json"
        self._lock = -1
        self._name = ""
        self._next = self._reserved = 1
        self._event = 0
        self._manifest = NEW
        self._put_at = 0.0
        self._turn = asyncio.Lock()
        self.begun = asyncio.Event()

    @property
    def writer(self) -> str:
        """`<producer job>/<eight hex digits>`; empty until `begin`."""
        return f"{self._producer}/{self._name}" if self._name else ""

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    async def begin(self) -> None:
        """Return when this process may write. Raises JobError."""
        await self._find()
        self.begun.set()

    async def _find(self) -> None:
        self._lock = await self._own_the_state()
        state = self._load()
        writer = f"{self._producer}/{state.writer}" if state is not None else ""
        known = await manifests.get(self._store, writer) if writer else None
        if state is None or known is None:
            self._name = secrets.token_hex(4)
            self._reserve()
            await self.put_manifest(NEW)
            return
        stored = await self._store.all(segments.folder(writer), after=segments.after(writer, known.first - 1))
        last = Segment.parse(stored[-1].key.rpartition("/")[2]) if stored else None
        self._event = last.first + last.events if last is not None else known.first_event
        self._next = self._reserved = max(state.next, known.first, last.sequence + 2 if last is not None else 0)
        self._name, self._manifest = state.writer, known
        self._reserve()
        if known.ended:
            await self.put_manifest(known._replace(ended=False))

    async def next_segment(self, events: int, crc: int, *, compressed: bool) -> Segment:
        """The name of the segment to put now; from then on its number is used."""
        if time.clock_gettime(time.CLOCK_BOOTTIME) - self._put_at > MANIFEST_SECONDS:
            await self.put_manifest(self._manifest)
        if self._next >= self._reserved:
            self._reserve()
        segment = Segment(self._next, self._event, events, crc, compressed)
        self._next += 1
        self._event += events
        return segment

    async def put_manifest(self, manifest: Manifest) -> None:
        async with self._turn:
            await manifests.put(self._store, self.writer, manifest)
            self._manifest = manifest
            self._put_at = time.clock_gettime(time.CLOCK_BOOTTIME)

    async def leave(self) -> None:
        """Say that this writer has ended, unless the store is away: then it counts as there."""
        if not self.begun.is_set():
            return
        try:
            await asyncio.wait_for(self.put_manifest(self._manifest._replace(ended=True)), LEAVE_SECONDS)
        except (asyncio.TimeoutError, JobError) as error:
            why = error.message if isinstance(error, JobError) else "the store is away"
            self._reporter.say(f"readers of {self._store} aren't told that {self._producer} has ended: {why}")

    def end(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)

    def _reserve(self) -> None:
        self._reserved = self._next + RESERVED
        content = json.dumps({"format": 1, "writer": self._name, "next": self._reserved}, indent=2, sort_keys=True)
        try:
            checkpoint.replace(self._state, content + "\n")
        except OSError as error:
            raise failed("write", self._state, error) from error

    def _load(self) -> _State | None:
        try:
            content = checkpoint.load(self._state)
            return _State(str(content["writer"]), int(str(content["next"]))) if content is not None else None
        except OSError as error:
            raise failed("read", self._state, error) from error
        except (ValueError, KeyError):  # what can't be read is forgotten: a new identity loses nothing
            self._reporter.say(f"{self._state} is damaged: this job goes on as another writer")
            return None

    async def _own_the_state(self) -> int:
        message = f"waiting: another process writes as {self._producer}; if it isn't about to end, stop it"
        return await hold(self._state.with_suffix(".lock"), lambda: self._reporter.say_rarely("lock", message))
