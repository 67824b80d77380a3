"""Declarations of blueprints: `blueprints/*.yaml` and the `std/` ones that ship with gitopsd."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import END, Name, ParameterName, SecretName
from gitopsd.model.workflow import Parameter

Speaks = Literal["worker", "file-store", "nats", "object-store", "stdio"]
URL_PATTERN = rf"^http://(127\.0\.0\.1|localhost)(:[0-9]{{1,5}})?(/[!-~]*)?{END}"
RunnerRole = Literal["read-files", "write-files", "transform", "exec"]


class Port(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place where a channel is attached. `speaks`: the transports that the job handles by itself."""

    speaks: Annotated[
        tuple[Speaks, ...],
        Meta(
            min_length=1,
            description="the transports that the job handles by itself; `stdio` is a plain filter of lines",
        ),
    ]
    optional: Annotated[bool, Meta(description="whether the port may be left open")] = False
    named_by: Annotated[
        ParameterName | UnsetType,
        Meta(
            description="a parameter of the type map: there is such a port for each of its keys, and none of this name"
        ),
    ] = UNSET


class Requires(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Features of the worker, such as `python3>=3.9`, and entitlements of the operator's policy."""

    features: Annotated[tuple[str, ...], Meta(description="such as `jq` or `python3>=3.9`")] = ()
    entitlements: Annotated[tuple[Name, ...], Meta(description="of the operator's policy")] = ()


class ShippedFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file copied as it is from the source branch's `files/`."""

    from_: Annotated[str, Meta(description="a path below files/")] = field(name="from")
    mode: Annotated[Literal["0644", "0755"], Meta(description="as on the worker")] = "0644"


class ReadyCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a job that doesn't notify shows that it is ready: one of the two."""

    tcp: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | UnsetType,
        Meta(description="a port of the worker itself that must accept a connection"),
    ] = UNSET
    http: Annotated[
        Annotated[str, Meta(pattern=URL_PATTERN)] | UnsetType,
        Meta(description="an address on the worker itself that must answer with success"),
    ] = UNSET


class Job(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a blueprint yields: an `exec` of its own, or a role of the runner."""

    kind: Annotated[
        str,
        Meta(description="service: kept running; once: run to its end, once; schedule: run to its end at set times"),
    ] = "service"
    schedule: Annotated[
        str | UnsetType, Meta(description="of kind `schedule`: when it runs, a calendar event of systemd.time(7)")
    ] = UNSET
    exec: Annotated[
        list[str] | str | UnsetType, Meta(description="the program and its arguments; no shell reads it")
    ] = UNSET
    runner: Annotated[RunnerRole | UnsetType, Meta(description="instead of `exec`: a role of gitopsd's own runner")] = (
        UNSET
    )
    with_: Annotated[dict[str, Any], Meta(description="settings of the runner's role")] = field(
        name="with", default_factory=dict
    )
    files: Annotated[
        dict[str, str | ShippedFile],
        Meta(description="name -> text, in which expressions are evaluated, or a file of the repository"),
    ] = field(default_factory=dict)
    writes: Annotated[tuple[str, ...], Meta(description="directories that the job writes to")] = ()
    validate: Annotated[
        list[str] | str | UnsetType,
        Meta(description="a command that checks the job's files before anything that runs is touched"),
    ] = UNSET
    directory: Annotated[
        Literal["release", "state"] | UnsetType,
        Meta(description="where `exec` runs: in the job's directory of the release, or where it keeps its state"),
    ] = UNSET
    input: Annotated[
        Literal["stdin", "socket"] | UnsetType,
        Meta(description="where a filter takes its events: stdin, or a socket that it listens at"),
    ] = UNSET
    unit: Annotated[dict[str, str | int | bool], Meta(description="systemd settings, of those that are allowed")] = (
        field(default_factory=dict)
    )
    on_change: Annotated[
        Literal["restart", "reload", "none"], Meta(description="what happens to the running job when it changes")
    ] = "restart"
    ready: Annotated[
        Literal["notify", "none"] | ReadyCheck | UnsetType, Meta(description="when a started job counts as up")
    ] = UNSET


class Blueprint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A reusable, parameterised building block that yields one job."""

    blueprint: Annotated[Name, Meta(description="its name, which is that of its file")]
    description: Annotated[str, Meta(description="for people")] = ""
    params: Annotated[dict[ParameterName, Parameter], Meta(description="what a step may give under `with:`")] = field(
        default_factory=dict
    )
    secrets: Annotated[tuple[SecretName, ...], Meta(description="names of the secrets that the job is handed")] = ()
    requires: Annotated[Requires, Meta(description="what a worker must have")] = Requires()
    in_: Annotated[dict[Name, Port], Meta(description="the ports that take events")] = field(
        name="in", default_factory=dict
    )
    out: Annotated[dict[Name, Port], Meta(description="the ports that give events")] = field(default_factory=dict)
    job: Annotated[Job, Meta(description="what runs")]

    def port(self, side: str, name: str) -> Port:
        """The port of a side, `in` or `out`; what isn't declared by its name is one that a parameter names."""
        ports = self.in_ if side == "in" else self.out
        if name in ports and ports[name].named_by is UNSET:
            return ports[name]
        return next(port for port in ports.values() if port.named_by is not UNSET)
