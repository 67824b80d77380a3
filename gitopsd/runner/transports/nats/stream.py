"""The stream of a channel and the durable consumers of its steps, made and kept as job.json says.

Whoever comes first makes them, at whichever end: every call here may race with the same call elsewhere. The stream
keeps an event until every consumer has acknowledged it (retention `interest`), so a step's consumer must be there
before the first event is. What is full refuses what is new (discard `new`): a producer waits, and nothing is lost.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import nats.errors
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from gitopsd.runner.transports.nats.servers import AwayError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.js import JetStreamContext

    from gitopsd.runner.report import Reporter
    from gitopsd.runner.settings import Settings

API_SECONDS = 5.0
DUPLICATE_SECONDS = 120.0
"""How long the servers remember the ids of messages: what is sent again within it is stored once."""

HELD_MESSAGES = 256
"""How many messages one replica holds that it hasn't acknowledged."""

WANTED = "gitopsd-wanted"
"""In a consumer's metadata: when an end that knows its step said so last, in seconds since the epoch."""

WANTED_SECONDS = 600.0
"""How often it says so."""

SETTLED = 3600.0
"""Seconds of silence until a step counts as gone, rather than as one that more recent releases than ours know."""

_NAME_IN_USE = 10058
_NEVER = frozenset({10005, 10028, 10039, 10047, 10074, 10076})
"""Codes of server errors that waiting doesn't cure: not enough peers, no resources, no JetStream for us."""


class Seen(NamedTuple):
    wanted: str
    since: float


class Stream(NamedTuple):
    """What one end of a channel knows of its stream."""

    name: str
    subject: str
    config: api.StreamConfig
    ack_wait: float

    @classmethod
    def of(cls, endpoint: Settings) -> Stream:
        """Raises JobError."""
        max_age = endpoint.number("max_age", 0)
        config = api.StreamConfig(
            name=endpoint.text("stream"),
            description=f"gitopsd: the channel {endpoint.text('channel')}",
            subjects=[endpoint.text("subject")],
            retention=api.RetentionPolicy.INTEREST,
            discard=api.DiscardPolicy.NEW,
            storage=api.StorageType.FILE,
            num_replicas=endpoint.integer("copies", 1),
            max_age=max_age,
            max_bytes=endpoint.integer("max_bytes", -1),
            duplicate_window=min(DUPLICATE_SECONDS, max_age or DUPLICATE_SECONDS),
        )
        return cls(endpoint.text("stream"), endpoint.text("subject"), config, endpoint.number("ack_wait", 10))

    async def ensure(self, js: JetStreamContext) -> str:
        """Make the stream, or bring it to what it should be; when it was made. Raises AwayError, RefusedError."""
        try:
            return await self._ensure(js)
        except nats.errors.Error as error:
            raise why(f"the stream {self.name}", error) from error

    async def _ensure(self, js: JetStreamContext) -> str:
        try:
            info = await js.stream_info(self.name)
        except NotFoundError:
            try:
                info = await js.add_stream(self.config)
            except APIError as error:
                if error.err_code != _NAME_IN_USE:
                    raise
                info = await js.stream_info(self.name)  # another one was faster, and has other options
        if info.config.retention != self.config.retention or info.config.subjects != self.config.subjects:
            raise RefusedError(
                f"the stream {self.name} wasn't made for this channel, or by hand: its subjects or retention are "
                f"others; remove it once it is empty: nats stream rm {self.name}"
            )
        changed = {key: getattr(self.config, key) for key in _KEPT if _differ(info.config, self.config, key)}
        if changed:
            info = await js.update_stream(info.config.evolve(**changed))
        return str(info.created)

    async def ensure_consumers(self, js: JetStreamContext, replicas: Mapping[str, int]) -> None:
        """Make the consumer of each step, or bring it up to date. Raises AwayError, RefusedError."""
        wanted = str(int(time.time()))
        for step, count in replicas.items():
            config = api.ConsumerConfig(
                name=step,
                durable_name=step,
                ack_policy=api.AckPolicy.EXPLICIT,
                deliver_policy=api.DeliverPolicy.ALL,
                ack_wait=self.ack_wait,
                max_ack_pending=HELD_MESSAGES * count,
                metadata={WANTED: wanted},
            )
            try:
                await js.add_consumer(self.name, config, timeout=API_SECONDS)
            except nats.errors.Error as error:
                raise why(f"the consumer {step} of the stream {self.name}", error) from error

    async def waiting_for(self, js: JetStreamContext, step: str) -> int | None:
        """Batches that the step hasn't acknowledged; None where the servers don't say."""
        try:
            info = await js.consumer_info(self.name, step)
        except nats.errors.Error:
            return None
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def remove_left(
        self, js: JetStreamContext, steps: Mapping[str, int], seen: dict[str, Seen], reporter: Reporter
    ) -> None:
        """Remove the consumers of steps that the channel no longer has, which would keep events until all is full.

        A step that an end still knows has that said again and again, so `seen` holds what was said of each that isn't
        one of ours, and since when: by our own clock, as those of other machines may be wrong. A consumer that
        somebody made by hand stays. Raises AwayError.
        """
        now = time.monotonic()
        try:
            infos = {info.name: info for info in await js.consumers_info(self.name) if info.name not in steps}
            for name in seen.keys() - infos.keys():
                del seen[name]
            for name, info in infos.items():
                wanted = (info.config.metadata or {}).get(WANTED)
                if wanted is None:
                    continue
                left = (info.num_pending or 0) + (info.num_ack_pending or 0)
                if name not in seen or seen[name].wanted != wanted:
                    seen[name] = Seen(wanted, now)
                if now - seen[name].since >= SETTLED:
                    await js.delete_consumer(self.name, name)
                    del seen[name]
                    if left:
                        reporter.say(
                            f"{left} batches of the stream {self.name} are dropped: {name}, for which they "
                            "were kept, isn't a step of this channel any more"
                        )
                elif left:
                    reporter.say_rarely(
                        "left",
                        f"the stream {self.name} keeps {left} batches for {name}, which isn't a step of this channel "
                        "any more: until nobody who knows it was there for an hour",
                    )
        except nats.errors.Error as error:
            raise AwayError(f"the consumers of the stream {self.name}: {reason_of(error)}") from error


_KEPT = ("max_age", "max_bytes", "num_replicas", "discard", "duplicate_window")


def step_of(consumer: str) -> str:
    """The step of a consumer, whose name may hold no dot."""
    return consumer.replace("=", ".")


def in_events(batches: int | None, events: int, seen: int) -> int | None:
    """How many events are in so many batches, judged by the `events` of those that were `seen`."""
    return -(-batches * events // seen) if batches and seen else batches


def _differ(found: api.StreamConfig, wanted: api.StreamConfig, key: str) -> bool:
    return (getattr(found, key) or 0) != (getattr(wanted, key) or 0)


def why(what: str, error: Exception) -> AwayError | RefusedError:
    """An error of the servers' API: whether waiting may help, and what they said."""
    never = isinstance(error, APIError) and (error.code == 400 or error.err_code in _NEVER)
    return (RefusedError if never else AwayError)(f"{what}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """In words, without the client's own."""
    described = error.description if isinstance(error, APIError) else None
    return described or str(error).removeprefix("nats: ") or "no answer"
