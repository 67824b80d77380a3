from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.flow import Output, Receipt, Spawn, when_all
from gitopsd.runner.lines import FRAME_BYTES
from gitopsd.runner.roles.transform.json_text import encode_text

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

MOST_SECONDS = 3600.0


class BatchSettings(NamedTuple):
    events: int
    seconds: float
    into: str


def batch_settings(action: Settings) -> BatchSettings:
    """`batch: 100`, or `batch: {events: 100, seconds: 1, into: events}`. Raises JobError."""
    if action.is_number("batch"):
        settings, events, seconds, into = action, action.integer("batch"), 1.0, "events"
    else:
        settings = action.section("batch")
        settings.only("events", "seconds", "into")
        events, seconds = settings.integer("events"), settings.number("seconds", 1)
        into = settings.text("into", "events")
    if events < 1:
        raise settings.wrong("batch" if settings is action else "events", "1 or more")
    if not 0 < seconds <= MOST_SECONDS:
        raise settings.wrong("seconds", f"more than 0 and at most {MOST_SECONDS:.0f}")
    return BatchSettings(events, seconds, into)


class BatchingOutput:
    """Puts the events of a port together, `{"events": [...]}`, and gives receipts once their batch is safe.

    A batch goes out when it has as many events as it may, at FRAME_BYTES, so that producers never wait for one that
    can't get full, after its time, and when the inputs have ended.

    Without `spawn` there is no time after which it goes. Then what is held counts as safe, for whoever ends the inputs
    waits for that; only `flush` waits until it really is.
    """

    def __init__(self, outputs: list[Output], settings: BatchSettings, spawn: Spawn | None) -> None:
        self._outputs = outputs
        self._settings = settings
        self._before = f"{{{encode_text(settings.into)}:[".encode()
        self._spawn = spawn
        self._turn = asyncio.Lock()
        self._begun = asyncio.Event()
        self._held: _Held | None = None
        self._newest: Receipt[None] | None = None
        """Of the batch that went out last; outputs give receipts in the order of what was written."""

    async def open(self) -> None:
        for output in self._outputs:
            await output.open()
        if self._spawn is not None:
            self._spawn(self._release_what_lingers())

    async def close(self) -> None:
        for output in self._outputs:
            await output.close()

    async def write(self, data: bytes) -> Receipt[None]:
        receipts: list[Receipt[None]] = []
        async with self._turn:
            for line in data[:-1].split(b"\n"):
                held = self._held
                if held is None:
                    held = self._held = _Held()
                    receipts.append(held.receipt)
                    self._begun.set()
                elif not receipts:
                    receipts.append(held.receipt)
                held.lines.append(line)
                held.size += len(line) + 1
                if len(held.lines) >= self._settings.events or held.size >= FRAME_BYTES:
                    await self._release()
        if self._spawn is None and self._held is not None:
            receipts = [receipt for receipt in receipts if receipt is not self._held.receipt]
        return when_all(receipts)

    async def flush(self) -> None:
        async with self._turn:
            await self._release()
        if self._spawn is None and self._newest is not None:
            await self._newest

    async def _release(self) -> None:
        held, self._held = self._held, None
        self._begun.clear()
        if held is not None:
            event = self._before + b",".join(held.lines) + b"]}\n"
            self._newest = when_all([await output.write(event) for output in self._outputs], held.receipt)

    async def _release_what_lingers(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._begun.wait()
            held = self._held
            if held is not None and (left := held.began + self._settings.seconds - loop.time()) > 0:
                await asyncio.sleep(left)
                continue
            async with self._turn:
                if self._held is held:
                    await self._release()


class _Held:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lines: list[bytes] = []
        self.size = 0
        self.began = loop.time()
        self.receipt: Receipt[None] = loop.create_future()
