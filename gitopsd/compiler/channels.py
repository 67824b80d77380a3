"""What a channel's transport is told: paths, servers and buckets, with expressions evaluated and defaults filled in."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from msgspec import UnsetType

from gitopsd.compiler.expand import ExpandedChannel
from gitopsd.compiler.expressions.diagnostics import expression_diagnostic
from gitopsd.compiler.expressions.texts import ExpressionError, evaluate, has_expression, names_used
from gitopsd.compiler.expressions.values import Spending
from gitopsd.compiler.link import Linked
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.parameters import ParameterError, checked
from gitopsd.compiler.paths import is_plain_absolute, is_system_path, not_absolute, system_path
from gitopsd.compiler.transports.addresses import is_bucket, is_http_url, is_nats_url
from gitopsd.compiler.words import short, word_for
from gitopsd.model.amounts import seconds
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.environments import NatsServers, ObjectStore
from gitopsd.model.system import Origin
from gitopsd.model.workflow import (
    FileStoreChannel,
    NatsChannel,
    ObjectStoreChannel,
    Parameter,
    WorkerChannel,
    transport_of,
)

LOCAL_NATS = ("nats://127.0.0.1:4222",)
"""Where neither channel nor environment says: the NATS server, or leaf node, of each worker itself."""

_NATS_LIMITS = {
    "max_age": Parameter(type="duration", minimum="1s"),
    "max_bytes": Parameter(type="bytes", minimum="1M"),
    "ack_wait": Parameter(type="duration", minimum="1s", maximum="1h"),
}

_OBJECT_STORE_LIMITS = {
    "segment_bytes": Parameter(type="bytes", minimum="64K", maximum="64M"),
    # longer, and the jobs before it would run out of what they may have under way
    "linger": Parameter(type="duration", minimum="100ms", maximum="3s"),
    "keep": Parameter(type="duration", minimum="1s"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """`options` are JSON; `secrets`: name -> where it is named."""

    path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Origin] = field(default_factory=dict)


class ChannelBinder:
    """Binds one channel. `scope` is what its expressions see, None where what they ask for is wrong already."""

    def __init__(
        self,
        linked: Linked,
        name: str,
        channel: ExpandedChannel,
        scope: Mapping[str, Any] | None,
        *,
        deferred: Collection[str],
        spending: Spending,
    ) -> None:
        self._linked = linked
        self._name = name
        self._channel = channel
        self._scope = scope
        self._deferred = deferred
        self._spending = spending
        self.diagnostics: list[Diagnostic] = []

    def settings(self) -> ChannelSettings:
        channel = self._channel.channel
        match channel:
            case WorkerChannel():
                return ChannelSettings()
            case FileStoreChannel():
                return self._file_store(channel)
            case NatsChannel():
                return self._nats(channel)
            case ObjectStoreChannel():
                return self._object_store(channel)
            case _:
                assert_never(channel)

    def _file_store(self, channel: FileStoreChannel) -> ChannelSettings:
        options = {} if isinstance(channel.segment_bytes, UnsetType) else {"segment_bytes": channel.segment_bytes}
        path = self._text(channel.path, "path")
        if path is None:
            return ChannelSettings()
        if not is_plain_absolute(path):
            self.diagnostics.append(not_absolute(f"the path of the channel `{self._name}`", path, self._place("path")))
        elif is_system_path(path):
            self.diagnostics.append(system_path(path, self._place("path")))
        else:
            return ChannelSettings(path=path, options=options)
        return ChannelSettings()

    def _nats(self, channel: NatsChannel) -> ChannelSettings:
        found = self._linked.environment.transports.nats
        known = NatsServers(servers=LOCAL_NATS) if isinstance(found, UnsetType) else found
        own = not isinstance(channel.servers, UnsetType)
        servers: list[str] = []
        for index, raw in enumerate(known.servers if isinstance(channel.servers, UnsetType) else channel.servers):
            place = self._place("servers", index) if own else self._environment_place("nats", "servers", index)
            server = self._text(raw, "servers", index) if own else raw
            if server is not None and is_nats_url(server):
                servers.append(server)
            elif server is not None:
                hint = "write `nats://HOST:PORT` or `tls://HOST:PORT`; credentials are secrets: `credentials: NAME`"
                self._wrong("a NATS server", server, place, hint)
        options: dict[str, Any] = {"servers": servers, **self._amounts(_NATS_LIMITS, channel)}
        if not isinstance(channel.replicas, UnsetType):
            options["copies"] = channel.replicas
        return self._with_secrets(options, channel, known, ("credentials", "authority", "certificate"))

    def _object_store(self, channel: ObjectStoreChannel) -> ChannelSettings:
        found = self._linked.environment.transports.object_store
        known = ObjectStore() if isinstance(found, UnsetType) else found
        options: dict[str, Any] = {}
        for key, fits, example in (
            ("endpoint", is_http_url, "an address such as `https://s3.example.org`"),
            ("bucket", is_bucket, "lower-case letters, digits, dots and hyphens, 3 to 63 characters"),
            ("region", str.isprintable, "the name of a region"),
            ("prefix", _is_prefix, "a path such as `orders/raw`, without a slash at either end"),
        ):
            raw = getattr(channel, key)
            own = not isinstance(raw, UnsetType)
            text = self._text(raw, key) if own else getattr(known, key, "")
            if text and fits(text):
                options[key] = text
            elif text is not None and not isinstance(text, UnsetType) and (text or own):
                place = self._place(key) if own else self._environment_place("object-store", key)
                self._wrong(f"`{key}`", text, place, f"write {example}")
        if "bucket" not in options and not self.diagnostics and self._scope is not None:
            self._report(
                "missing-key",
                f"the channel `{self._name}` names no bucket",
                self._linked.locate_key(self._channel.origin),
                "add `bucket:`, or give the environment one in gitopsd.yaml: "
                f"environments.{self._linked.name}.transports.object-store.bucket",
            )
        options |= self._amounts(_OBJECT_STORE_LIMITS, channel)
        if not isinstance(channel.compression, UnsetType):
            options["compression"] = channel.compression
        return self._with_secrets(options, channel, known, ("credentials", "authority"))

    def _amounts(
        self, kinds: Mapping[str, Parameter], channel: NatsChannel | ObjectStoreChannel
    ) -> dict[str, int | float]:
        """Those that the channel has, durations in seconds."""
        amounts: dict[str, int | float] = {}
        for key, kind in kinds.items():
            raw = getattr(channel, key)
            if not isinstance(raw, UnsetType):
                try:
                    value = checked(kind, raw)
                except ParameterError as error:
                    self._report("wrong-value", f"`{key}` {error}", self._place(key))
                else:
                    amounts[key] = seconds(value) if kind.type == "duration" else value
        return amounts

    def _with_secrets(
        self,
        options: dict[str, Any],
        channel: NatsChannel | ObjectStoreChannel,
        known: NatsServers | ObjectStore,
        keys: tuple[str, ...],
    ) -> ChannelSettings:
        """The names of secrets: the channel's own, else the environment's."""
        here = self._channel.origin
        transport = transport_of(channel)
        around = Origin(path=ENVIRONMENTS_FILE, pointer=("environments", self._linked.name, "transports", transport))
        secrets: dict[str, Origin] = {}
        for key in keys:
            places = ((getattr(channel, key), here), (getattr(known, key), around))
            name, place = next(((one, place) for one, place in places if isinstance(one, str)), ("", here))
            if name:
                options[key] = name
                secrets.setdefault(name, Origin(path=place.path, pointer=(*place.pointer, key)))
        return ChannelSettings(options=options, secrets=secrets)

    def _text(self, raw: str, *way: str | int) -> str | None:
        """The text with its expressions evaluated; None where that can't be had, which has been said."""
        place = (*self._channel.origin.pointer, *way)
        document = self._linked.documents[self._channel.origin.path].document if has_expression(raw) else None
        if document is None:
            return raw
        try:
            if "params" in names_used(raw) and self._scope is None:
                return None
            # by name wherever it stands: `params['dir'] | default('x')` must not take the default
            late = next((word for word in re.findall(r"\w+", raw) if word in self._deferred), "")
            if late:
                message = f"`{way[0]}`: `{late}` differs from worker to worker, and a channel is the same for all"
                self._report("bad-expression", message, self._place(*way))
                return None
            self._spending.spend(len(raw))  # the text around its expressions, which the value holds as well
            value = evaluate(raw, self._scope or {}, self._spending)
        except ExpressionError as error:
            self.diagnostics.append(expression_diagnostic(error, document, place, f"`{way[0]}`: "))
            return None
        if not isinstance(value, str):
            message = f"`{way[0]}` must come to text, not {word_for(value)}"
            self._report("wrong-type", message, self._place(*way))
            return None
        return value

    def _place(self, *way: str | int) -> Location:
        return self._linked.locate(self._channel.origin, *way)

    def _environment_place(self, *way: str | int) -> Location:
        return self._linked.environments_document.locate("environments", self._linked.name, "transports", *way)

    def _wrong(self, what: str, value: str, place: Location, hint: str) -> None:
        self._report("wrong-value", f"{what} can't be `{short(value)}`", place, hint)

    def _report(self, code: str, message: str, place: Location, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(code=code, message=message, location=place, hint=hint))


def _is_prefix(text: str) -> bool:
    parts = text.split("/")
    return len(text) <= 500 and text.isprintable() and all(part not in {"", ".", ".."} for part in parts)
