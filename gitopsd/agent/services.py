"""What the agent asks of a service manager: systemd on workers, supervisor on the built-in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .deadline import Deadline
    from .release import Release

RUNNING = ("active", "activating", "reloading")


class Unit(NamedTuple):
    """A unit as observed, in systemd's words whichever manager runs it."""

    active: str
    sub: str
    result: str
    main_pid: int
    restarts: int
    since: float | None  # seconds since the epoch, by the worker's clock, of becoming active
    enabled: bool
    blob: str | None  # of the unit's file; None where there is none
    invocation: str  # another one after each start
    exit_status: int
    drop_ins: tuple[str, ...] = ()  # files that override parts of this very unit
    stale: bool = False  # the manager runs it by an older definition than the one on disk
    next_run: float | None = None  # of a timer: when it starts its job, in seconds since the epoch
    last_run: float | None = None

    @property
    def is_running(self) -> bool:
        return self.active in RUNNING

    @property
    def is_up(self) -> bool:
        """Running, and not merely waiting to be tried again."""
        return self.is_running and self.sub != "auto-restart"

    def as_json(self) -> dict[str, object]:
        return {
            "active": self.active,
            "sub": self.sub,
            "result": self.result,
            "main_pid": self.main_pid,
            "restarts": self.restarts,
            "since": self.since,
            "enabled": self.enabled,
            "blob": self.blob,
            "drop_ins": self.drop_ins,
            **({} if self.next_run is None else {"next_run": self.next_run}),
            **({} if self.last_run is None else {"last_run": self.last_run}),
        }


NOT_THERE = Unit(
    active="inactive",
    sub="dead",
    result="success",
    main_pid=0,
    restarts=0,
    since=None,
    enabled=False,
    blob=None,
    invocation="",
    exit_status=0,
)


class Difference(NamedTuple):
    """How the definitions of units on this machine differ from those of a release."""

    content: frozenset[str]  # units whose definition is missing or says something else
    enablement: bool  # only whether they start at boot
    unread: bool  # the manager has not read what is on disk

    @property
    def is_empty(self) -> bool:
        return not (self.content or self.enablement or self.unread)


class ServiceManager(Protocol):
    def require(self) -> None:
        """Raise AgentError `not-root`, `no-systemd` or `unsupported` when it can't run jobs here."""

    def units(self) -> dict[str, Unit]:
        """Every unit of a job on this machine, by its name; other units called gitopsd-… are somebody else's."""

    def difference(self, release: Release, units: Mapping[str, Unit]) -> Difference: ...

    def stop(self, units: Sequence[str], deadline: Deadline) -> None:
        """Stop whatever of them runs; the next `units()` tells what became of it."""

    def install(self, release: Release, gone: Sequence[str], deadline: Deadline) -> None:
        """Make the definitions those of the release, remove those of the units gone, have the manager read them."""

    def reset_start_limit(self, units: Sequence[str]) -> None:
        """Let units be started again that were started too often."""

    def start(self, services: Sequence[str], once: Sequence[str], deadline: Deadline) -> None:
        """Start or restart them; services are waited for until they are ready, once is not waited for."""

    def reload(self, unit: str, deadline: Deadline) -> str | None:
        """Have a running service read its configuration anew; the reason when it could not."""

    def log(self, unit: str, lines: int) -> list[str]: ...

    def follow_command(self, unit: str, lines: int) -> list[str]:
        """A command that prints the last lines of a unit's log, and what is added to it, until it is ended."""

    def remove_all(self, deadline: Deadline) -> list[str]:
        """Stop and remove every job's unit, and whatever the manager keeps; the units' names."""
