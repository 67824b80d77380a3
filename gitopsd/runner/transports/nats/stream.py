"""The stream of a channel and the durable consumers of its steps, made and kept as job.json says.

Whoever comes first makes them, at whichever end: every call here may race with the same call elsewhere. The stream
keeps an event until every consumer has acknowledged it (retention `interest`), so a step's consumer must be there
before the first event is. What is full refuses what is new (discard `new`): a producer waits, and nothing is lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
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

SETTLED = timedelta(hours=1)
"""A consumer that was wanted since may be known to more recent releases than ours: of a step that is new, or back."""

WANTED = "gitopsd-wanted"
"""In a consumer's metadata: when an end that knows its step was last connected, in seconds since the epoch."""

_NAME_IN_USE = 10058
_NEVER = frozenset({10005, 10028, 10039, 10047, 10074, 10076})
"""Codes of server errors that waiting doesn't cure: not enough peers, no resources, no JetStream for us."""


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
        wanted = str(int(datetime.now(timezone.utc).timestamp()))
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

    async def remove_left(
        self, js: JetStreamContext, steps: Mapping[str, int], reporter: Reporter, before: frozenset[str]
    ) -> frozenset[str]:
        """Remove the consumers of steps that the channel no longer has, which would keep events for ever.

        Those that have had everything, are asked by nobody, and were so when we looked `before`; returns who is so now.
        Of others it is said how much they keep. Raises AwayError.
        """
        idle: set[str] = set()
        try:
            for info in await js.consumers_info(self.name):
                if info.name in steps or info.num_waiting or datetime.now(timezone.utc) - _wanted(info) < SETTLED:
                    continue
                left = (info.num_pending or 0) + (info.num_ack_pending or 0)
                if left:
                    reporter.say_rarely(
                        "left",
                        f"the stream {self.name} keeps {left} batches for {info.name}, which isn't a step of this "
                        f"channel any more: nats consumer rm {self.name} {info.name}",
                    )
                elif info.name in before:
                    await js.delete_consumer(self.name, info.name)
                else:
                    idle.add(info.name)
        except nats.errors.Error as error:
            raise AwayError(f"the consumers of the stream {self.name}: {reason_of(error)}") from error
        return frozenset(idle)


_KEPT = ("max_age", "max_bytes", "num_replicas", "discard", "duplicate_window")


def _differ(found: api.StreamConfig, wanted: api.StreamConfig, key: str) -> bool:
    return (getattr(found, key) or 0) != (getattr(wanted, key) or 0)


def _wanted(info: api.ConsumerInfo) -> datetime:
    try:
        return datetime.fromtimestamp(int((info.config.metadata or {})[WANTED]), timezone.utc)
    except (KeyError, ValueError):
        return info.created


def why(what: str, error: Exception) -> AwayError | RefusedError:
    """An error of the servers' API: whether waiting may help, and what they said."""
    never = isinstance(error, APIError) and (error.code == 400 or error.err_code in _NEVER)
    return (RefusedError if never else AwayError)(f"{what}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """In words, without the client's own."""
    described = error.description if isinstance(error, APIError) else None
    return described or str(error).removeprefix("nats: ") or "no answer"
