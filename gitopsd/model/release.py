"""A release as the agent reads it, and as the controller wants it."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from gitopsd.model.names import END

JobName = Annotated[str, Meta(pattern=rf"^[a-z0-9][a-z0-9._-]{{0,238}}{END}")]
UnitName = Annotated[str, Meta(pattern=rf"^gitopsd-[a-z0-9][a-z0-9._-]{{0,238}}\.(service|timer|path){END}")]


class Draining(Struct, frozen=True, kw_only=True):
    """How long a job that isn't placed on its worker any more has, from its first start as such on.

    `of` is the job whose earlier form it is, where that goes on under its name.
    """

    deadline_seconds: int
    of: str = ""

    @property
    def at_most(self) -> str:
        """How long that is, as a duration is written."""
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
            if self.deadline_seconds and self.deadline_seconds % size == 0:
                return f"{self.deadline_seconds // size}{unit}"
        return f"{self.deadline_seconds}s"


class ReleaseJob(Struct, frozen=True, kw_only=True):
    """One job of `release.json`."""

    kind: str
    digest: str
    unit: UnitName
    on_change: str
    ready: dict[str, Any] = field(default_factory=dict)
    user: str = ""
    directories: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    schedule: str = ""
    draining: Draining | None = None
    exclusive: bool = False

    @property
    def timer(self) -> UnitName | None:
        """The unit that starts a job of kind `schedule`; None for the other kinds."""
        return f"{self.unit.removesuffix('.service')}.timer" if self.kind == "schedule" else None

    @property
    def units(self) -> tuple[UnitName, ...]:
        """All its units on the worker."""
        return (self.unit, self.timer) if self.timer else (self.unit,)

    @property
    def kept_unit(self) -> UnitName:
        """The unit that must be active and start at boot: a scheduled job's timer, else the job's service."""
        return self.timer or self.unit


class ReleaseRecord(Struct, frozen=True, kw_only=True):
    """`release.json`."""

    format: int
    worker: str
    environment: str
    runtime: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    jobs: dict[JobName, ReleaseJob] = field(default_factory=dict)


class DesiredRelease(Struct, frozen=True, kw_only=True):
    """What one worker should hold: the release's id, its record, and path -> (mode, blob id) of all its files.

    `placed` is unit -> worker of all jobs of the deployment, as far as they are known: one mapping for all releases.
    """

    worker: str
    id: str
    record: ReleaseRecord
    files: Mapping[str, tuple[str, str]]
    placed: Mapping[str, str] = {}
