from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from gitopsd.runner.flow import Away, Receipt, settle
from gitopsd.runner.transports.object_store import segments
from gitopsd.runner.transports.object_store.identity import Identity
from gitopsd.runner.transports.object_store.removal import Removal
from gitopsd.runner.transports.object_store.store import Store

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

QUIET_SECONDS = 0.05
"""A job whose receipts are all outstanding writes nothing more: a `worker` channel has 8 MiB under way at most."""


class ObjectStoreOutput:
    """Puts one segment after the other: while one is on its way the next one grows, up to `segment_bytes`.

    One at a time, so that what a reader lists has no holes; a store that is slow gets fewer and larger objects. Two
    segments are in memory at most. What was killed under way comes again in a segment of another number.
    """

    def __init__(self, endpoint: Settings, context: Context) -> None:
        self._store = Store(endpoint, context.reporter)
        self._identity = Identity(self._store, endpoint.text("producer"), context)
        self._segment_bytes = endpoint.integer("segment_bytes", segments.SEGMENT_BYTES)
        self._linger = endpoint.number("linger", segments.LINGER_SECONDS)
        self._compress = endpoint.choice("compression", ("gzip", "none")) == "gzip"
        steps = endpoint.section("consumers").names()
        keep = endpoint.number("keep", 0.0)
        self._removal = Removal(self._store, self._identity, steps, keep_seconds=keep)
        self._context = context
        self._growing: _Growing | None = None
        self._begun, self._full, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def open(self) -> None:
        await self._store.open()
        self._context.spawn(self._put_all(await self._store.first(self._identity.begin())))
        self._context.spawn(self._removal.run())

    async def write(self, data: bytes) -> Receipt[None]:
        while self._growing is not None and self._growing.size >= self._segment_bytes:
            self._room.clear()
            await self._room.wait()
        if self._growing is None:
            self._growing = _Growing()
            self._begun.set()
        self._growing.add(data)
        if self._growing.size >= self._segment_bytes:
            self._full.set()
        return self._growing.receipt

    async def leave(self) -> None:
        await self._identity.leave()

    async def lags(self) -> dict[str, int | None]:
        return self._removal.lags()

    def away(self) -> Away | None:
        return self._store.waiting.away()

    async def close(self) -> None:
        self._identity.end()

    async def _put_all(self, beginning: asyncio.Future[None]) -> None:
        """Raises JobError."""
        await beginning
        while True:
            await self._begun.wait()
            await self._ripe()
            growing, self._growing = self._growing, None
            self._begun.clear()
            self._full.clear()
            self._room.set()
            if growing is not None:
                await self._put(growing)

    async def _ripe(self) -> None:
        """Return once there is enough, `linger` after the first event, or when whoever writes seems to wait for us."""
        growing, now = self._growing, asyncio.get_running_loop().time
        while growing is not None and not self._full.is_set():
            until = growing.began + self._linger
            if growing.size >= self._segment_bytes // 8:
                until = min(until, growing.last + QUIET_SECONDS)
            left = until - now()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self._full.wait(), left)
            except asyncio.TimeoutError:
                continue

    async def _put(self, growing: _Growing) -> None:
        segment, content = await asyncio.get_running_loop().run_in_executor(None, growing.seal, self._compress)
        named = await self._identity.next_segment(*segment, compressed=self._compress)
        await self._store.put(f"{segments.folder(self._identity.writer)}{named.name}", content)
        self._removal.expect(named.events)
        settle(growing.receipt)


class _Growing:
    """The segment under way."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.began = self.last = loop.time()
        self.receipt: Receipt[None] = loop.create_future()
        self.size = 0
        self._blocks: list[bytes] = []

    def add(self, data: bytes) -> None:
        self._blocks.append(data)
        self.size += len(data)
        self.last = asyncio.get_running_loop().time()

    def seal(self, compress: bool) -> tuple[tuple[int, int], bytes]:
        """(events, CRC-32), and the object's content."""
        lines = b"".join(self._blocks)
        self._blocks.clear()
        return (lines.count(b"\n"), zlib.crc32(lines)), segments.encode(lines, compress=compress)
