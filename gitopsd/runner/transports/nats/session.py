from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable

import nats.errors

from gitopsd.runner.errors import JobError
from gitopsd.runner.polling import Backoff
from gitopsd.runner.tasks import end
from gitopsd.runner.transports.nats.producers import Producers
from gitopsd.runner.transports.nats.servers import CLOSE_SECONDS, AwayError, Link, RefusedError, Servers
from gitopsd.runner.transports.nats.stream import API_SECONDS, WANTED_SECONDS, Stream, reason_of
from gitopsd.runner.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

OPEN_SECONDS = 10.0
"""How long a job that starts waits for the servers before it is ready without them."""

Serve = Callable[[Link], "list[Coroutine[Any, Any, None]]"]
"""What one end does with a connection, side by side; each runs until the connection is of no more use."""


class Session:
    """Stays connected to a channel's stream: enters it, serves it until that fails, and enters again."""

    def __init__(
        self, endpoint: Settings, context: Context, steps: Mapping[str, int], serve: Serve, *, producer: str = ""
    ) -> None:
        self.stream = Stream.of(endpoint)
        self.producers = Producers(self.stream)
        self._producer = producer
        self.link: Link | None = None
        self.made = ""
        """When the stream was made: one that was removed and made again counts its messages anew."""
        self._servers = Servers(endpoint, context.job.name)
        self._channel = endpoint.text("channel")
        self._steps = steps
        self._serve = serve
        self._reporter = context.reporter
        self.waiting = Waiting(
            context.reporter, self._channel, f"the NATS servers of {self._channel} ({self._servers}) answer again"
        )
        self._backoff = Backoff(first=0.1, last=5.0)

    async def open(self) -> None:
        """Enter, so that what is wrong shows before the job is ready. Raises JobError.

        Servers that are away are no reason to fail: they are waited for, as the other end of any channel is.
        """
        deadline = asyncio.get_running_loop().time() + OPEN_SECONDS
        while self.link is None and asyncio.get_running_loop().time() < deadline:
            await self._attempt()

    async def _attempt(self) -> None:
        try:
            self.link = await asyncio.wait_for(self._enter(), OPEN_SECONDS)
        except RefusedError as error:
            raise JobError(f"cannot use the channel {self._channel}: {error}") from error
        except (AwayError, asyncio.TimeoutError) as error:
            self._wait_for(error)
            await asyncio.sleep(self._backoff.next())
        else:
            self.waiting.end()

    async def run(self) -> None:
        """Raises nothing but cancellation; leaves the link to `close`."""
        while True:
            try:
                if self.link is None:
                    self.link = await self._enter()
                    self.waiting.end()
                await self._use(self.link)
            except (AwayError, RefusedError) as error:
                self._wait_for(error)
            if self.link is not None:
                link, self.link = self.link, None
                await link.close()
            await asyncio.sleep(self._backoff.next())

    def works(self) -> None:
        """The servers do what they are asked: the next failure is a new one."""
        self._backoff.reset()

    async def leave(self) -> None:
        """Of a producer: have readers know that it ends. Where the servers are away it counts as there."""
        if self.link is not None:
            try:
                await asyncio.wait_for(self.producers.leave(self.link, self._producer), CLOSE_SECONDS)
            except (AwayError, asyncio.TimeoutError) as error:
                why = str(error) or "no answer"
                self._reporter.say(f"readers of {self._channel} aren't told that {self._producer} has ended: {why}")

    async def close(self) -> None:
        if self.link is not None:
            await self.link.close()

    async def _enter(self) -> Link:
        link = await self._servers.connect()
        try:
            js = link.client.jetstream(timeout=API_SECONDS)
            made = await self.stream.ensure(js)
            await self.stream.ensure_consumers(js, self._steps)
            if self._producer:
                await self.producers.enter(js, self._producer)
        except BaseException:
            await link.close()
            raise
        self.made = made
        return link

    async def _use(self, link: Link) -> None:
        work = [*self._serve(link), self._stay_wanted(link)]
        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(one) for one in work]
        try:
            done, _ = await asyncio.wait([link.lost, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (nats.errors.Error, OSError) as error:
            raise AwayError(self._servers.refusal(link) or reason_of(error)) from error
        finally:
            await end(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # looked at, so that asyncio doesn't tell of those that failed with the first
        raise AwayError(self._servers.refusal(link) or "the connection was lost")

    async def _stay_wanted(self, link: Link) -> None:
        """Keep producers of earlier releases from taking our steps for gone. Raises AwayError, RefusedError."""
        while True:
            await asyncio.sleep(WANTED_SECONDS)
            await self.stream.ensure_consumers(link.client.jetstream(timeout=API_SECONDS), self._steps)

    def _wait_for(self, error: Exception) -> None:
        self.waiting.begin(
            f"waiting for the NATS servers of {self._channel} ({self._servers}): {str(error) or 'no answer'}"
        )
