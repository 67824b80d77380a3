"""Declarations of `workflows/*.yaml` and `modules/*.yaml`: intent, as people write it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import ChannelName, Name, ParameterName
from gitopsd.model.servers import (
    NatsAddresses,
    NatsAuthority,
    NatsCertificate,
    NatsCredentials,
    StoreAuthority,
    StoreBucket,
    StoreCredentials,
    StoreEndpoint,
    StoreRegion,
)

ParameterType = Literal["string", "integer", "number", "boolean", "duration", "bytes", "list", "map", "enum"]
PortBinding = ChannelName | dict[Name, ChannelName]
Replicas = Annotated[int, Meta(ge=1, le=10_000)]
MAX_CONSTRAINTS = 64

ON_MESSAGE = "on.message"
SIGNALS = "signals."
"""Ports that every step has for its messages; no port of a blueprint has a dot in its name."""


class Parameter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a parameter may be. A parameter without a default is required."""

    type: Annotated[ParameterType, Meta(description="what its values are")]
    default: Annotated[Any, Meta(description="makes the parameter optional")] = UNSET
    description: Annotated[str, Meta(description="shown when a value is missing")] = ""
    minimum: Annotated[int | float | str | UnsetType, Meta(description="of integer, number, duration and bytes")] = (
        UNSET
    )
    maximum: Annotated[int | float | str | UnsetType, Meta(description="of integer, number, duration and bytes")] = (
        UNSET
    )
    values: Annotated[tuple[str, ...], Meta(description="what an enum may be")] = ()


class Place(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a step's replicas run."""

    group: Annotated[Name, Meta(description="a worker group of the fleet file")]
    replicas: Annotated[
        Replicas, Meta(description="how many copies; they share the events of each channel that they read")
    ] = 1
    constraints: Annotated[
        tuple[str, ...],
        Meta(
            max_length=MAX_CONSTRAINTS,
            description="`label.KEY == VALUE` or `label.KEY != VALUE`; a worker must meet all of them",
        ),
    ] = ()
    strategy: Annotated[
        Literal["spread", "pack"], Meta(description="spread over the workers, or fill one after the other")
    ] = "spread"
    exclusive: Annotated[
        bool, Meta(description="a replica that moves ends where it was before it starts elsewhere; else after that")
    ] = False


class NarrowedPlace(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a step inside a module may say about its place: less than the step that uses the module has."""

    group: Annotated[Name | UnsetType, Meta(description="the group that the module is placed on")] = UNSET
    replicas: Annotated[Replicas | UnsetType, Meta(description="at most as many as the module has")] = UNSET
    constraints: Annotated[
        tuple[str, ...], Meta(max_length=MAX_CONSTRAINTS, description="beside those of the step that uses the module")
    ] = ()


class On(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What starts a step that otherwise waits."""

    message: Annotated[ChannelName, Meta(description="a message of this workflow or module; each burst starts a run")]


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node of a workflow, bound by `use` to a blueprint or a module."""

    use: Annotated[str, Meta(description="std/NAME, blueprints/NAME, modules/NAME or modules/vendor/LIBRARY/NAME")]
    with_: Annotated[dict[str, Any], Meta(description="values of parameters; ${{ ... }} is evaluated")] = field(
        name="with", default_factory=dict
    )
    in_: Annotated[
        PortBinding | UnsetType, Meta(description="the channel of the port `default`, or port -> channel")
    ] = field(name="in", default=UNSET)
    out: Annotated[
        PortBinding | UnsetType, Meta(description="the channel of the port `default`, or port -> channel")
    ] = UNSET
    on: Annotated[On | UnsetType, Meta(description="what starts the step, which else waits; of kind `once`")] = UNSET
    signals: Annotated[
        ChannelName | UnsetType, Meta(description="the message that a run gives once it has ended well")
    ] = UNSET
    place: Annotated[Place, Meta(description="where its replicas run")]


class InnerStep(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node of a module. It runs where the step that uses the module is placed, or on fewer workers of these."""

    use: Annotated[str, Meta(description="std/NAME, blueprints/NAME, modules/NAME or modules/vendor/LIBRARY/NAME")]
    with_: Annotated[dict[str, Any], Meta(description="values of parameters; ${{ ... }} is evaluated")] = field(
        name="with", default_factory=dict
    )
    in_: Annotated[
        PortBinding | UnsetType, Meta(description="the channel of the port `default`, or port -> channel")
    ] = field(name="in", default=UNSET)
    out: Annotated[
        PortBinding | UnsetType, Meta(description="the channel of the port `default`, or port -> channel")
    ] = UNSET
    on: Annotated[On | UnsetType, Meta(description="what starts the step, which else waits; of kind `once`")] = UNSET
    signals: Annotated[
        ChannelName | UnsetType, Meta(description="the message that a run gives once it has ended well")
    ] = UNSET
    place: Annotated[NarrowedPlace, Meta(description="less than the place of the step that uses the module")] = (
        NarrowedPlace()
    )


class WorkerChannel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="transport", tag="worker"):
    """Events stay on one worker, in memory, over Unix sockets."""


class FileStoreChannel(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="transport", tag="file-store"
):
    """Events lie in segments below `path` until every consumer has them."""

    path: Annotated[str, Meta(description="absolute; both ends must see it")]
    segment_bytes: Annotated[
        Annotated[int, Meta(ge=4096, le=1 << 30)] | UnsetType,
        Meta(description="size in bytes at which a file is closed and a new one begun"),
    ] = UNSET


class NatsChannel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="transport", tag="nats"):
    """Events lie in a stream of NATS JetStream. Without `servers` those of the environment are meant."""

    servers: Annotated[NatsAddresses | UnsetType, Meta(description="addresses such as nats://10.0.0.5:4222")] = UNSET
    credentials: NatsCredentials = UNSET
    authority: NatsAuthority = UNSET
    certificate: NatsCertificate = UNSET
    replicas: Annotated[
        Annotated[int, Meta(ge=1, le=5)] | UnsetType, Meta(description="copies of the stream that the servers keep")
    ] = UNSET
    max_age: Annotated[
        str | UnsetType, Meta(description="how long an event waits for the steps that haven't had it, such as 7d")
    ] = UNSET
    max_bytes: Annotated[
        str | int | UnsetType, Meta(description="how much may wait, such as 10G; then the producers wait")
    ] = UNSET
    ack_wait: Annotated[
        str | UnsetType, Meta(description="after how long another replica gets what one that died was at, such as 10s")
    ] = UNSET


class ObjectStoreChannel(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="transport", tag="object-store"
):
    """Events lie in batches in a bucket behind an S3 API. What is not said here is the environment's."""

    bucket: StoreBucket = UNSET
    prefix: Annotated[str | UnsetType, Meta(description="what the names of its objects begin with")] = UNSET
    endpoint: StoreEndpoint = UNSET
    region: StoreRegion = UNSET
    credentials: StoreCredentials = UNSET
    authority: StoreAuthority = UNSET
    compression: Annotated[Literal["gzip", "none"] | UnsetType, Meta(description="gzip by default")] = UNSET
    segment_bytes: Annotated[
        str | int | UnsetType, Meta(description="size at which an object is put, before compression; 8M by default")
    ] = UNSET
    linger: Annotated[
        str | UnsetType, Meta(description="an object is put at the latest so long after its first event; 1s by default")
    ] = UNSET
    keep: Annotated[
        str | UnsetType, Meta(description="how long objects stay after every step has had them, such as 7d")
    ] = UNSET


Channel = WorkerChannel | FileStoreChannel | NatsChannel | ObjectStoreChannel


class Workflow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A graph of steps joined by channels."""

    workflow: Annotated[Name, Meta(description="its name: the first part of the names of its jobs")]
    params: Annotated[
        dict[ParameterName, Parameter], Meta(description="what the workflow can be given, in gitopsd.yaml")
    ] = field(default_factory=dict)
    steps: Annotated[dict[Name, Step], Meta(min_length=1, description="at least one")]
    channels: Annotated[
        dict[ChannelName, Channel],
        Meta(description="every channel that a step is bound to; each needs a producer and a consumer"),
    ] = field(default_factory=dict)
    messages: Annotated[
        dict[ChannelName, Channel],
        Meta(description="every message that a step signals or waits for, and how it gets there"),
    ] = field(default_factory=dict)


class Module(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A workflow with an interface: `in` and `out` map its ports to its channels, which the user's channels replace."""

    module: Annotated[Name, Meta(description="its name, which is that of its file")]
    description: Annotated[str, Meta(description="for people")] = ""
    params: Annotated[
        dict[ParameterName, Parameter], Meta(description="what a step that uses it may give under `with:`")
    ] = field(default_factory=dict)
    in_: Annotated[dict[Name, ChannelName], Meta(description="port that takes events -> channel of the module")] = (
        field(name="in", default_factory=dict)
    )
    out: Annotated[dict[Name, ChannelName], Meta(description="port that gives events -> channel of the module")] = (
        field(default_factory=dict)
    )
    steps: Annotated[dict[Name, InnerStep], Meta(min_length=1, description="at least one")]
    channels: Annotated[
        dict[ChannelName, Channel],
        Meta(description="those of the module; a port's transport is that of the channel outside"),
    ] = field(default_factory=dict)
    messages: Annotated[
        dict[ChannelName, Channel],
        Meta(description="those of the module; a port may be one of them, as of its channels"),
    ] = field(default_factory=dict)


def transport_of(channel: Channel) -> str:
    """The name of the channel's transport as it is written in YAML."""
    return str(type(channel).__struct_config__.tag)


def channels_of(declared: Workflow | Module) -> dict[str, Channel]:
    """All that a port may be bound to: its channels, and its messages, which are channels too."""
    return {**declared.channels, **declared.messages} if declared.messages else declared.channels


def inputs_of(step: Step | InnerStep) -> dict[str, str]:
    """Port -> what it takes events from; what starts the step is at `ON_MESSAGE`."""
    waits = {} if isinstance(step.on, msgspec.UnsetType) else {ON_MESSAGE: step.on.message}
    return {**bound_ports(step.in_), **waits}


def outputs_of(step: Step | InnerStep) -> dict[str, str]:
    """Port -> what it gives events to; what its runs signal is at `SIGNALS`."""
    gives = {} if isinstance(step.signals, msgspec.UnsetType) else {SIGNALS: step.signals}
    return {**bound_ports(step.out), **gives}


def bound_ports(binding: PortBinding | UnsetType) -> dict[str, str]:
    """Port -> channel; a bare channel name binds the port `default`."""
    if isinstance(binding, msgspec.UnsetType):
        return {}
    return {"default": binding} if isinstance(binding, str) else dict(binding)
