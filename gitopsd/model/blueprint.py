"""Declarations of blueprints: `blueprints/*.yaml` and the `std/` ones that ship with gitopsd."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import END, Name, ParameterName
from gitopsd.model.workflow import Parameter

Speaks = Literal["worker", "file-store", "nats", "object-store", "stdio"]
URL_PATTERN = rf"^http://(127\.0\.0\.1|localhost)(:[0-9]{{1,5}})?(/[!-~]*)?{END}"
RunnerRole = Literal["read-files", "write-files", "transform", "exec"]


class Port(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place where a channel is attached. `speaks`: the transports that the job handles by itself."""

    speaks: Annotated[tuple[Speaks, ...], Meta(min_length=1)]
    optional: bool = False


class Requires(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    features: tuple[str, ...] = ()


class ShippedFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file copied as it is from the source branch's `files/`."""

    from_: str = field(name="from")
    mode: Literal["0644", "0755"] = "0644"


class ReadyCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a job that doesn't notify shows that it is ready: one of the two."""

    tcp: Annotated[int, Meta(ge=1, le=65535)] | UnsetType = UNSET
    http: Annotated[str, Meta(pattern=URL_PATTERN)] | UnsetType = UNSET


class Job(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a blueprint yields: an `exec` of its own, or a role of the runner."""

    kind: str = "service"
    exec: list[str] | str | UnsetType = UNSET
    runner: RunnerRole | UnsetType = UNSET
    with_: dict[str, Any] = field(name="with", default_factory=dict)
    files: dict[str, str | ShippedFile] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    unit: dict[str, str | int | bool] = field(default_factory=dict)
    on_change: Literal["restart", "reload", "none"] = "restart"
    ready: Literal["notify", "none"] | ReadyCheck | UnsetType = UNSET


class Blueprint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A reusable, parameterised building block that yields one job."""

    blueprint: Name
    description: str = ""
    params: dict[ParameterName, Parameter] = field(default_factory=dict)
    requires: Requires = Requires()
    in_: dict[Name, Port] = field(name="in", default_factory=dict)
    out: dict[Name, Port] = field(default_factory=dict)
    job: Job
