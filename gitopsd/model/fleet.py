"""Declarations of `fleets/*.yaml`: worker groups and workers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.amounts import Count, Duration, Share
from gitopsd.model.names import Name, UserName


class Worker(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A machine that runs jobs. Over SSH it needs an address and a pinned host key; a local one needs neither."""

    address: Annotated[str | UnsetType, Meta(description="host name or IP address; required over SSH")] = UNSET
    port: Annotated[int, Meta(ge=1, le=65535, description="of sshd")] = 22
    user: Annotated[UserName, Meta(description="the account to log in as")] = "gitopsd"
    host_key: Annotated[
        str | UnsetType,
        Meta(description="type and key from /etc/ssh/ssh_host_ed25519_key.pub on the worker; required over SSH"),
    ] = UNSET
    connection: Annotated[Literal["ssh", "local"], Meta(description="local: this machine itself, without SSH")] = "ssh"
    service_manager: Annotated[
        Literal["systemd", "supervisor"],
        Meta(description="supervisor: for local workers without systemd or without root"),
    ] = "systemd"
    slots: Annotated[int, Meta(ge=0, le=100_000, description="at most this many jobs")] = 100
    labels: Annotated[dict[str, str], Meta(description="added to the group's, and win over them")] = field(
        default_factory=dict
    )
    features: Annotated[tuple[str, ...], Meta(description="added to the group's")] = ()


class Rollout(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a new deployment comes to the workers of a group, one after another; a share is one of the group."""

    canary: Annotated[
        Count | Share, Meta(description="so many workers first, and the others only once those are healthy")
    ] = 0
    max_parallel: Annotated[Count | Share, Meta(description="at most so many workers at once; at least 1")] = "100%"
    min_healthy_time: Annotated[
        Duration, Meta(description="how long a job must have stayed up before it counts as healthy")
    ] = "0s"
    healthy_deadline: Annotated[
        Duration, Meta(description="a worker whose jobs aren't all healthy so long after they were started has failed")
    ] = "2m"
    auto_revert: Annotated[
        bool, Meta(description="go back to what ran before, of the workflows that failed, when the rollout fails")
    ] = False
    max_failed: Annotated[
        Count | Share, Meta(description="the rollout goes on while no more workers than these have failed")
    ] = 0
    max_unreachable: Annotated[
        Count | Share, Meta(description="the rollout goes on while no more workers than these can't be reached")
    ] = "100%"
    confirm_timeout: Annotated[
        Duration,
        Meta(description="a worker undoes what it was given when it isn't reached anew for so long; 5s to 10m"),
    ] = "30s"
    drain: Annotated[
        Duration,
        Meta(description="how long a job that leaves a worker may go on reading what is stored for it; 0s: not at all"),
    ] = "5m"


class Group(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named set of workers that steps are placed on; labels and features hold for each of them."""

    labels: Annotated[dict[str, str], Meta(description="hold for each worker of the group")] = field(
        default_factory=dict
    )
    features: Annotated[tuple[str, ...], Meta(description="hold for each worker of the group")] = ()
    mounts: Annotated[
        dict[str, Literal["shared"]],
        Meta(description="path -> shared: all workers that declare it see one file system there"),
    ] = field(default_factory=dict)
    rollout: Annotated[Rollout | UnsetType, Meta(description="how a new deployment comes to the workers")] = UNSET
    workers: Annotated[dict[Name, Worker], Meta(description="the machines")] = field(default_factory=dict)
    lost_after: Annotated[
        Duration | UnsetType,
        Meta(description="what runs on a worker that nobody reached for so long is placed elsewhere; at least 30s"),
    ] = UNSET

    @property
    def rollout_settings(self) -> Rollout:
        return Rollout() if isinstance(self.rollout, UnsetType) else self.rollout


class Fleet(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The machines that an environment runs on, in worker groups."""

    groups: Annotated[dict[Name, Group], Meta(description="the worker groups; a worker belongs to one")]
