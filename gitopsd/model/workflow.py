"""Declarations of `workflows/*.yaml`: intent, as people write it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import ChannelName, Name, ParameterName

ParameterType = Literal["string", "integer", "number", "boolean", "duration", "bytes", "list", "map", "enum"]
PortBinding = ChannelName | dict[Name, ChannelName]


class Parameter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a parameter may be. A parameter without a default is required."""

    type: ParameterType
    default: Any = UNSET
    description: str = ""
    minimum: int | float | UnsetType = UNSET
    maximum: int | float | UnsetType = UNSET
    values: tuple[str, ...] = ()


class Place(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a step's replicas run."""

    group: Name
    replicas: Annotated[int, Meta(ge=1, le=10_000)] = 1
    constraints: tuple[str, ...] = ()


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node of a workflow, bound by `use` to a blueprint."""

    use: str
    with_: dict[str, Any] = field(name="with", default_factory=dict)
    in_: PortBinding | UnsetType = field(name="in", default=UNSET)
    out: PortBinding | UnsetType = UNSET
    place: Place


class WorkerChannel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="transport", tag="worker"):
    """Events stay on one worker, in memory, over Unix sockets."""


class FileStoreChannel(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="transport", tag="file-store"
):
    """Events lie in segments below `path` until every consumer has them."""

    path: str
    segment_bytes: Annotated[int, Meta(ge=4096, le=1 << 30)] | UnsetType = UNSET


Channel = WorkerChannel | FileStoreChannel


class Workflow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A graph of steps joined by channels."""

    workflow: Name
    params: dict[ParameterName, Parameter] = field(default_factory=dict)
    steps: Annotated[dict[Name, Step], Meta(min_length=1)]
    channels: dict[ChannelName, Channel] = field(default_factory=dict)


def transport_of(channel: Channel) -> str:
    """The name of the channel's transport as it is written in YAML."""
    return str(type(channel).__struct_config__.tag)


def bound_ports(binding: PortBinding | UnsetType) -> dict[str, str]:
    """Port -> channel; a bare channel name binds the port `default`."""
    if isinstance(binding, msgspec.UnsetType):
        return {}
    return {"default": binding} if isinstance(binding, str) else dict(binding)
