"""Which producers a channel has, so that a reader that drains knows whether more may come.

A stream beside the channel's own, `producers=<its name>`, keeps one empty message for each: under
`gitopsd.<environment>._producers.<its name>.<producer job>`, names that no channel can have. A producer publishes it on
each connection, before any event, and takes it back when its job ends well. One that was killed, or is cut off, counts
as there, since it may come back: for a day.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import nats.errors
from nats.js import api
from nats.js.errors import NotFoundError

from gitopsd.runner.transports.nats.servers import CLOSE_SECONDS, AwayError
from gitopsd.runner.transports.nats.stream import API_SECONDS, reason_of, why

if TYPE_CHECKING:
    from nats.js import JetStreamContext

    from gitopsd.runner.transports.nats.servers import Link
    from gitopsd.runner.transports.nats.stream import Stream

MAX_AGE = timedelta(days=1)
REFRESH = timedelta(hours=1)


class Producers:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._name = f"producers={stream.name}"
        self._subject = f"gitopsd.{stream.subject.split('.')[1]}._producers.{stream.name}"
        self._number = 0
        """Of our own message."""

    async def enter(self, js: JetStreamContext, job: str) -> None:
        """Have readers know of this producer. Raises AwayError, RefusedError."""
        config = api.StreamConfig(
            name=self._name,
            description=f"gitopsd: the producers of {self._stream.name}",
            subjects=[f"{self._subject}.>"],
            storage=api.StorageType.FILE,
            num_replicas=self._stream.config.num_replicas,
            max_msgs_per_subject=1,
            max_age=MAX_AGE.total_seconds(),
        )
        try:
            await self._ensure(js, config)
            stored = await js.publish(f"{self._subject}.{job}", timeout=API_SECONDS, stream=self._name)
        except nats.errors.Error as error:
            raise why(f"the stream {self._name}", error) from error
        self._number = stored.seq

    async def _ensure(self, js: JetStreamContext, config: api.StreamConfig) -> None:
        """Those that make it at once all want the same."""
        try:
            info = await js.stream_info(self._name)
        except NotFoundError:
            info = await js.add_stream(config)
        if info.config.num_replicas != config.num_replicas:
            await js.update_stream(info.config.evolve(num_replicas=config.num_replicas))

    async def stay(self, link: Link, job: str) -> None:
        """Enter again before it is forgotten. Raises AwayError, RefusedError."""
        while True:
            await asyncio.sleep(REFRESH.total_seconds())
            await self.enter(link.client.jetstream(timeout=API_SECONDS), job)

    async def leave(self, link: Link, job: str) -> None:
        """Take our own message back, not one that the same job published since, elsewhere. Raises AwayError."""
        js = link.client.jetstream(timeout=CLOSE_SECONDS)
        try:
            await js.purge_stream(self._name, seq=self._number + 1, subject=f"{self._subject}.{job}")
        except (nats.errors.Error, OSError) as error:
            raise AwayError(reason_of(error)) from error

    async def are_there(self, js: JetStreamContext) -> bool | None:
        """None where it can't be known; also where none ever entered, as of a program of one's own."""
        try:
            info = await js.stream_info(self._name)
        except nats.errors.Error:
            return None
        return info.state.messages > 0
