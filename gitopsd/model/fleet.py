"""Declarations of `fleets/*.yaml`: worker groups and workers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import Name, UserName


class Worker(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A machine that runs jobs. Over SSH it needs an address and a pinned host key; a local one needs neither."""

    address: str | UnsetType = UNSET
    port: Annotated[int, Meta(ge=1, le=65535)] = 22
    user: UserName = "gitopsd"
    host_key: str | UnsetType = UNSET
    connection: Literal["ssh", "local"] = "ssh"
    service_manager: Literal["systemd", "supervisor"] = "systemd"
    slots: Annotated[int, Meta(ge=0, le=100_000)] = 100
    labels: dict[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()


class Group(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named set of workers that steps are placed on; labels and features hold for each of them."""

    labels: dict[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    mounts: dict[str, Literal["shared"]] = field(default_factory=dict)
    workers: dict[Name, Worker] = field(default_factory=dict)


class Fleet(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    groups: dict[Name, Group]
