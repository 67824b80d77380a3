from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING, Any

import nats.errors

from gitopsd.runner.flow import RESTART_SECONDS, Away, Batch
from gitopsd.runner.lines import count_events
from gitopsd.runner.transports.nats.servers import CLOSE_SECONDS, AwayError, Link
from gitopsd.runner.transports.nats.session import Session
from gitopsd.runner.transports.nats.stream import HELD_MESSAGES, in_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

EXTRA_BYTES = 4096
"""What the servers count as a message beside its lines: id, subject, and where to acknowledge it."""

AGAIN_SECONDS = 0.1
"""Before asking again where a request was turned down."""

HELD_BYTES = 8 * 1024 * 1024
"""How much one replica holds that it hasn't acknowledged; then it asks for nothing more."""

EXPIRES_SECONDS = 30
HEARTBEAT_SECONDS = 5
"""How often the servers say that they still have our request; after three of these in silence it is made again."""

REMEMBERED = 4096
"""Messages that are known to be done: an acknowledgement may get lost with its connection."""

_Key = tuple[str, str]
"""A message: its number in the stream, and when it was stored, which tells it from one of a stream made anew."""


class NatsInput:
    """Asks for batches as there is room for them, and tells the servers that it is still at those it holds.

    So what is slow downstream is not delivered to another replica, and what a dead job held is, `ack_wait` later.
    """

    def __init__(self, endpoint: Settings, context: Context) -> None:
        self._step = endpoint.text("consumer")
        self._session = Session(endpoint, context, {self._step: endpoint.integer("replicas", 1)}, self._serve)
        self._spawn = context.spawn
        self._reporter = context.reporter
        self._stopped = False
        self._queue: deque[tuple[_Key, bytes]] = deque()
        self._held: dict[_Key, tuple[str, int]] = {}
        """Where to acknowledge a message that was delivered, and its bytes."""
        self._held_bytes = 0
        self._batches = 0
        self._events = 0
        """In the batches that went downstream."""
        self._done: OrderedDict[_Key, None] = OrderedDict()
        self._answers: deque[tuple[str, bytes]] = deque()
        self._arrived, self._answer = asyncio.Event(), asyncio.Event()
        self._made = ""
        self._asked_for = 0
        self._turned_down = self._is_gone = False
        self._may_ask = asyncio.Event()
        self._heard = 0.0
        self._delivered: Subscription | None = None

    async def open(self) -> None:
        await self._session.open()
        self._spawn(self._session.run())

    def stop(self) -> None:
        self._stopped = True
        self._arrived.set()
        self._may_ask.set()

    async def batches(self) -> AsyncIterator[Batch]:
        while True:
            while self._queue and not self._stopped:
                key, data = self._queue.popleft()
                self._events += count_events(data)
                yield Batch(data, partial(self._acknowledge, key))
            if self._stopped:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        """Acknowledge what is done, and give back at once what isn't."""
        if self._session.link is not None and not self._session.link.client.is_closed:
            try:
                await asyncio.wait_for(self._give_back(self._session.link.client), CLOSE_SECONDS)
            except (asyncio.TimeoutError, nats.errors.Error, OSError):
                pass  # all of it comes again when `ack_wait` is over
        await self._session.close()

    async def backlog(self) -> int | None:
        """Of all replicas together. The servers count batches; how many events are in one is judged by those we had."""
        link = self._session.link
        if link is None:
            return None
        batches = await self._session.stream.waiting_for(link.client.jetstream(timeout=1.0), self._step)
        events = self._events + sum(data.count(b"\n") for _, data in self._queue)
        return in_events(batches, events, self._batches)

    def returns_within(self) -> float:
        """While it is restarted it looks as one that has ended."""
        return RESTART_SECONDS

    async def is_fed(self) -> bool | None:
        link = self._session.link
        return await self._session.producers.are_there(link.client.jetstream(timeout=1.0)) if link else None

    def away(self) -> Away | None:
        return self._session.waiting.away()

    async def _give_back(self, client: Client) -> None:
        await self._end_delivery()
        for reply, answer in [*self._answers, *((reply, b"-NAK") for reply, _ in self._held.values() if reply)]:
            await client.publish(reply, answer)
        await client.flush()

    def _serve(self, link: Link) -> list[Coroutine[Any, Any, None]]:
        if self._session.made != self._made:
            self._made = self._session.made
            self._forget()
        return [self._pull(link), self._answer_all(link), self._stay_at_it(link)]

    def _forget(self) -> None:
        """What was delivered from a stream that is no more can't be acknowledged, and mustn't be to the new one."""
        self._answers.clear()
        self._held = {key: ("", size) for key, (_, size) in self._held.items()}

    async def _pull(self, link: Link) -> None:
        """One request at a time, for as much as there is room. Raises AwayError."""
        client, inbox = link.client, link.client.new_inbox()
        stream = self._session.stream.name
        loop = asyncio.get_running_loop()
        self._is_gone = False

        async def received(message: Msg) -> None:
            self._heard = loop.time()
            self._take(message)

        # what is delivered is what was asked for: nothing may be dropped here
        self._delivered = await client.subscribe(
            inbox, cb=received, pending_msgs_limit=2 * HELD_MESSAGES, pending_bytes_limit=0
        )
        self._asked_for, before = 0, self._batches
        self._heard = loop.time()
        while not self._stopped:
            self._may_ask.clear()
            room, room_bytes = HELD_MESSAGES - len(self._held), HELD_BYTES - self._held_bytes
            if not self._asked_for and room > 0 and room_bytes > 0:
                request = {
                    "batch": room,
                    "max_bytes": max(room_bytes, client.max_payload + EXTRA_BYTES),
                    "expires": EXPIRES_SECONDS * 1_000_000_000,
                    "idle_heartbeat": HEARTBEAT_SECONDS * 1_000_000_000,
                }
                self._asked_for, before = room, self._batches
                await client.publish(
                    f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self._step}", json.dumps(request).encode(), reply=inbox
                )
            await self._wait()
            if self._turned_down and self._batches == before:
                await asyncio.sleep(AGAIN_SECONDS)
            self._turned_down = False
        await self._end_delivery()
        await loop.create_future()  # there is nothing more to do until the connection is let go

    async def _end_delivery(self) -> None:
        """Before anything is given back, which the servers would deliver here again, to a request that stands."""
        delivered, self._delivered = self._delivered, None
        if delivered is not None:
            await delivered.drain()  # type: ignore[no-untyped-call]  # it has no types

    async def _wait(self) -> None:
        """Until the request may have ended, or there may be room for one. Raises AwayError."""
        try:
            await asyncio.wait_for(self._may_ask.wait(), HEARTBEAT_SECONDS)
        except asyncio.TimeoutError:
            if asyncio.get_running_loop().time() - self._heard > 3 * HEARTBEAT_SECONDS:
                self._asked_for = 0  # a new leader doesn't know the request, and says nothing
        if self._is_gone:
            raise AwayError(f"the consumer {self._step} of the stream {self._session.stream.name} isn't there")

    def _take(self, message: Msg) -> None:
        headers = message.headers or {}
        if "Status" in headers and not message.data:
            self._end_request(headers["Status"], headers.get("Description", ""))
            return
        self._asked_for = max(0, self._asked_for - 1)
        if not self._asked_for:
            self._may_ask.set()
        self._session.works()
        key = _key(message.reply)
        if key in self._held:  # delivered again, since we were cut off: we are at it
            self._held[key] = (message.reply, self._held[key][1])
        elif key in self._done or not message.data:
            self._say(message.reply, b"+ACK")
        else:
            data = message.data if message.data.endswith(b"\n") else message.data + b"\n"
            self._held[key] = (message.reply, len(data))
            self._held_bytes += len(data)
            self._batches += 1
            self._queue.append((key, data))
            self._arrived.set()

    def _end_request(self, status: str, why: str) -> None:
        if status == "100":  # a sign of life
            return
        self._asked_for = 0
        self._turned_down = status == "409"
        self._may_ask.set()
        self._is_gone = status == "503" or (status == "409" and "deleted" in why.lower())

    def _acknowledge(self, key: _Key) -> None:
        reply, size = self._held.pop(key)
        self._held_bytes -= size
        self._done[key] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        self._say(reply, b"+ACK")
        self._may_ask.set()

    def _say(self, reply: str, answer: bytes) -> None:
        if reply:
            self._answers.append((reply, answer))
            self._answer.set()

    async def _answer_all(self, link: Link) -> None:
        while True:
            while self._answers:
                await link.client.publish(*self._answers[0])
                self._answers.popleft()
            self._answer.clear()
            await self._answer.wait()

    async def _stay_at_it(self, link: Link) -> None:
        """Keep the servers from giving what we hold to another replica."""
        while True:
            await asyncio.sleep(self._session.stream.ack_wait / 3)
            for reply, _ in list(self._held.values()):
                if reply:
                    await link.client.publish(reply, b"+WPI")


def _key(reply: str) -> _Key:
    """From where a message is acknowledged, `$JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.DELIVERED.NUMBER.….TIME.…`."""
    parts = reply.split(".")
    first = 5 if len(parts) == 9 else 7
    return parts[first], parts[first + 2]
