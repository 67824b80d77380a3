from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from gitopsd.runner.flow import Away, Receipt, settle
from gitopsd.runner.lines import frames
from gitopsd.runner.transports.nats.servers import AwayError, Link, RefusedError
from gitopsd.runner.transports.nats.session import Session
from gitopsd.runner.transports.nats.stream import API_SECONDS, WANTED_SECONDS, Seen, in_events, step_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nats.aio.msg import Msg

    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

MESSAGE_BYTES = 256 * 1024
"""The largest message, unless a single event is longer. Beyond that a message gains nothing (benchmarks)."""

HEADER_BYTES = 512
"""What of the servers' `max_payload` is left to the id of a message."""

WINDOW_BYTES = 8 * 1024 * 1024
"""How much a producer keeps in memory until the servers have it; then it waits."""

BUSY_MESSAGES = 4
"""With so many under way, what comes in small pieces is gathered into the next message."""

ACKNOWLEDGE_SECONDS = 10.0
"""Servers that have something, and acknowledge nothing for so long, are taken for gone."""


class _Piece(NamedTuple):
    lines: bytes
    receipt: Receipt[None] | None
    """To be given when this piece is stored: the last one of a write has it."""


class _Message(NamedTuple):
    lines: bytes
    receipts: list[Receipt[None]]


class NatsOutput:
    """Publishes to the stream, and keeps what the servers haven't acknowledged.

    A message that is sent again has its id again, `PRODUCER-JOB/RUN/NUMBER`, so the servers store it once. What a job
    was at when it was killed comes again from upstream with other ids: by content alone nobody could tell it from
    events that are alike.
    """

    def __init__(self, endpoint: Settings, context: Context) -> None:
        consumers = endpoint.section("consumers")
        self._steps = {step: consumers.integer(step) for step in consumers.names()}
        self._producer = endpoint.text("producer")
        self._session = Session(endpoint, context, self._steps, self._serve, producer=self._producer)
        self._spawn = context.spawn
        self._reporter = context.reporter
        self._run = f"{self._producer}/{secrets.token_hex(6)}"
        self._number = self._events = 0
        self._pieces: deque[_Piece] = deque()
        self._piece_bytes = 0
        self._under_way: dict[int, _Message] = {}
        """By number, from the oldest that isn't stored on."""
        self._early: set[int] = set()
        """Those of them that are stored, while an older one isn't."""
        self._bytes = 0
        self._more, self._room = asyncio.Event(), asyncio.Event()
        self._progress = 0.0
        self._refused = asyncio.Event()
        self._reason = ""
        self._gone: dict[str, Seen] = {}

    async def open(self) -> None:
        await self._session.open()
        self._spawn(self._session.run())

    async def write(self, data: bytes) -> Receipt[None]:
        receipt: Receipt[None] = asyncio.get_running_loop().create_future()
        left = len(data)
        for lines in frames(data, MESSAGE_BYTES):
            left -= len(lines)
            while self._bytes and self._bytes + len(lines) > WINDOW_BYTES:
                self._room.clear()
                await self._room.wait()
            self._pieces.append(_Piece(lines, None if left else receipt))
            self._piece_bytes += len(lines)
            self._bytes += len(lines)
            self._more.set()
        return receipt

    async def leave(self) -> None:
        await self._session.leave()

    async def close(self) -> None:
        await self._session.close()

    async def lags(self) -> dict[str, int | None]:
        """Of what all producers wrote. The servers count batches; what is in one is judged by those that we sent."""
        link = self._session.link
        if link is None:
            return dict.fromkeys(map(step_of, self._steps))
        stream, js = self._session.stream, link.client.jetstream(timeout=1.0)
        found = await asyncio.gather(*[stream.waiting_for(js, step) for step in self._steps])
        return {
            step_of(step): in_events(batches, self._events, self._number) for step, batches in zip(self._steps, found)
        }

    def away(self) -> Away | None:
        return self._session.waiting.away()

    def _serve(self, link: Link) -> list[Coroutine[Any, Any, None]]:
        self._refused.clear()
        return [self._send(link), self._fail_when_refused(), self._watch(), self._tidy(link), self._stay(link)]

    async def _send(self, link: Link) -> None:
        """Send what is under way again, then what comes. Raises RefusedError."""
        inbox = link.client.new_inbox()
        await link.client.subscribe(f"{inbox}.*", cb=self._answered)
        self._progress = asyncio.get_running_loop().time()
        limit = min(MESSAGE_BYTES, link.client.max_payload - HEADER_BYTES)
        again = [number for number in self._under_way if number not in self._early]
        for number in again:
            await self._publish(link, inbox, number)
            while number == again[0] and number in self._under_way:
                await self._wait_for_more()  # one first: where there is no room, all of them would be sent in vain
        while True:
            while self._pieces and (
                len(self._under_way) - len(self._early) < BUSY_MESSAGES or self._piece_bytes >= limit
            ):
                await self._publish(link, inbox, self._gather(limit))
            await self._wait_for_more()

    async def _answered(self, message: Msg) -> None:
        reason = _refusal(message)
        if reason:
            self._reason = reason
            self._refused.set()
        else:
            self._stored(int(message.subject.rpartition(".")[2]))

    async def _fail_when_refused(self) -> None:
        """Raises AwayError."""
        await self._refused.wait()
        raise AwayError(self._reason)

    async def _wait_for_more(self) -> None:
        self._more.clear()
        await self._more.wait()

    def _gather(self, limit: int) -> int:
        """Make the next message of the pieces that fit into one; its number."""
        piece = self._pieces.popleft()
        first, *rest = frames(piece.lines, limit)
        for lines in reversed(rest):
            last = lines is rest[-1]
            self._pieces.appendleft(_Piece(lines, piece.receipt if last else None))
        parts, receipts = [first], [] if rest or piece.receipt is None else [piece.receipt]
        size = len(first)
        while self._pieces and size + len(self._pieces[0].lines) <= limit:
            piece = self._pieces.popleft()
            parts.append(piece.lines)
            size += len(piece.lines)
            if piece.receipt is not None:
                receipts.append(piece.receipt)
        self._piece_bytes -= size
        self._number += 1
        message = b"".join(parts)
        self._events += message.count(b"\n")
        self._under_way[self._number] = _Message(message, receipts)
        return self._number

    async def _publish(self, link: Link, inbox: str, number: int) -> None:
        lines = self._under_way[number].lines
        if len(lines) > link.client.max_payload - HEADER_BYTES:
            raise RefusedError(
                f"an event of {len(lines)} bytes is longer than the servers take; raise max_payload, which is "
                f"{link.client.max_payload} there; it and all after it wait until then"
            )
        await link.client.publish(
            self._session.stream.subject,
            lines,
            reply=f"{inbox}.{number}",
            headers={"Nats-Msg-Id": f"{self._run}/{number}"},
        )

    def _stored(self, number: int) -> None:
        """In their order: a receipt is for all of a write, which several messages may share."""
        if number not in self._under_way:
            return
        self._early.add(number)
        while self._under_way and (oldest := next(iter(self._under_way))) in self._early:
            self._early.discard(oldest)
            message = self._under_way.pop(oldest)
            self._bytes -= len(message.lines)
            for receipt in message.receipts:
                settle(receipt)
        self._progress = asyncio.get_running_loop().time()
        self._session.works()
        self._room.set()
        self._more.set()

    async def _tidy(self, link: Link) -> None:
        js = link.client.jetstream(timeout=API_SECONDS)
        while True:
            with suppress(AwayError):  # nothing hangs on it, least of all the connection: the next look makes up for it
                await self._session.stream.remove_left(js, self._steps, self._gone, self._reporter)
            await asyncio.sleep(WANTED_SECONDS)

    async def _stay(self, link: Link) -> None:
        await self._session.producers.stay(link, self._producer)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(ACKNOWLEDGE_SECONDS / 4)
            if not self._under_way:
                self._progress = asyncio.get_running_loop().time()
            elif asyncio.get_running_loop().time() - self._progress > ACKNOWLEDGE_SECONDS:
                raise AwayError(f"nothing was acknowledged for {ACKNOWLEDGE_SECONDS:.0f} s")


def _refusal(message: Msg) -> str:
    """Why the servers didn't store a message; empty where they did."""
    if not message.data:
        return "no stream takes it"  # nobody answered: removed by hand, or without a leader
    try:
        answer = json.loads(message.data)
    except ValueError:
        return "an answer that can't be read"
    error = answer.get("error")
    if not error:
        return "" if "seq" in answer else "an answer that can't be read"
    return str(error.get("description", "no reason"))
