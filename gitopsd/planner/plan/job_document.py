"""`job.json` as planning reads it: what a job is, and its ends of channels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gitopsd.compiler.transports.addresses import nats_server
from gitopsd.model.not_json import NOT_JSON
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a channel, at a port of the job. `channel` is the name on the wire.

    Of a `worker` channel, an input has the `socket` at which it listens, an output those that it connects to. Of one
    that stores events, `place` stands for where they are, of `nats` with `servers`, each as HOST:PORT; an input has the
    step that it reads for, `reads_for`, and an output those that the writer knows as `consumers`. Only of a
    `file-store` more is known: its `path`, and the `consumer` that reads with so many `replicas`. `told` is all that
    the job is told of the end, as sorted JSON.
    """

    transport: str
    channel: str
    port: str = ""
    path: str = ""
    consumer: str = ""
    replicas: int = 0
    consumers: tuple[str, ...] = ()
    socket: str = ""
    sockets: tuple[str, ...] = ()
    place: str = ""
    servers: frozenset[str] = frozenset()
    reads_for: str = ""
    told: bytes = field(default=b"", compare=False)

    def meets(self, other: "End") -> bool:
        """Whether both are where the same events are stored.

        A server is of one cluster, and the list of a cluster's is changed server by server: so two lists that share
        one are of the same cluster, and two that share none are taken for two clusters.
        """
        is_one_cluster = self.servers == other.servers or not self.servers.isdisjoint(other.servers)
        return self.place == other.place and is_one_cluster

    @property
    def where(self) -> str:
        """Where its events are, in words."""
        return self.path or f"the channel `{self.channel_name}`"

    @property
    def channel_name(self) -> str:
        """As it is written in the workflow; of an adapter's inner channel the adapter's side and step follow."""
        return self.channel.split(".", 2)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDocument:
    """`role` is the runner's; empty for a program that runs without it. `settings` are the runner's `with`."""

    kind: str = ""
    role: str = ""
    command: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[End, ...] = ()
    outputs: tuple[End, ...] = ()

    @property
    def worker_channels(self) -> frozenset[str]:
        """The `worker` channels it is joined to, by their names on the wire."""
        return frozenset(end.channel for end in (*self.inputs, *self.outputs) if end.transport == "worker")

    @property
    def stores(self) -> frozenset[str]:
        """The directories of the `file-store` channels that it is joined to."""
        return frozenset(end.path for end in (*self.inputs, *self.outputs) if end.path)

    def setting(self, name: str) -> str:
        """A setting that is text; empty where there is none."""
        value = self.settings.get(name)
        return value if isinstance(value, str) else ""


class _Joined(msgspec.Struct, frozen=True):
    inputs: dict[str, list[dict[str, Any]]] = {}
    outputs: dict[str, list[dict[str, Any]]] = {}
    role: str = ""
    with_: dict[str, Any] = msgspec.field(name="with", default_factory=dict)


class _Message(msgspec.Struct, frozen=True):
    inputs: list[dict[str, Any]] = []
    outputs: list[dict[str, Any]] = []


class _Raw(msgspec.Struct, frozen=True):
    kind: str = ""
    exec: list[str] = []
    runner: _Joined | None = None
    channels: _Joined = _Joined()
    on: _Message = _Message()
    signals: _Message = _Message()


_PLACE = ("transport", "channel", "stream", "endpoint", "bucket", "prefix")

_DECODER = msgspec.json.Decoder(_Raw)


def read_document(content: bytes) -> JobDocument:
    """An empty one where the content is of a form that this version doesn't know."""
    try:
        raw = _DECODER.decode(content)
    except NOT_JSON:
        return JobDocument()
    joined = raw.runner or raw.channels
    return JobDocument(
        kind=raw.kind,
        role=joined.role,
        command=() if raw.runner else tuple(raw.exec),
        settings=joined.with_,
        inputs=tuple(_ends({**joined.inputs, ON_MESSAGE: raw.on.inputs})),
        outputs=tuple(_ends({**joined.outputs, SIGNALS: raw.signals.outputs})),
    )


def _ends(ports: Mapping[str, list[dict[str, Any]]]) -> Iterator[End]:
    for port, ends in ports.items():
        yield from (read_end(end, port) for end in ends)


def read_end(end: Mapping[str, Any], port: str = "") -> End:
    """One end of a job's port, as `job.json` has it."""
    transport, channel = str(end.get("transport", "")), str(end.get("channel", ""))
    told = msgspec.json.encode(end, order="sorted")
    consumers = end.get("consumers")
    known = tuple(consumers) if isinstance(consumers, dict) else ()
    if transport != "file-store":
        sockets = end.get("sockets")
        return End(
            port=port,
            transport=transport,
            channel=channel,
            socket=str(end.get("socket", "")),
            sockets=tuple(map(str, sockets)) if isinstance(sockets, list) else (),
            place="" if transport == "worker" else _place(end),
            servers=_servers(end),
            reads_for="" if transport == "worker" else str(end.get("consumer", "")),
            consumers=known,
            told=told,
        )
    replicas = end.get("replicas")
    return End(
        port=port,
        transport=transport,
        channel=channel,
        path=str(end.get("path", "")),
        place=str(end.get("path", "")),
        reads_for=str(end.get("consumer", "")),
        consumer=str(end.get("consumer", "")),
        replicas=replicas if isinstance(replicas, int) else 0,
        consumers=known,
        told=told,
    )


def _place(end: Mapping[str, Any]) -> str:
    """What a transport is told of where its events are: not who reads or writes them, nor how."""
    return msgspec.json.encode([end.get(key) for key in _PLACE]).decode()


def _servers(end: Mapping[str, Any]) -> frozenset[str]:
    servers = end.get("servers")
    return frozenset(nats_server(str(one)) for one in servers) if isinstance(servers, list) else frozenset()
