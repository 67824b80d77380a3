"""What is observed of a worker. Fields that a newer agent adds are ignored: either side may be updated first."""

from typing import Annotated

import msgspec

Moment = Annotated[float, msgspec.Meta(ge=-62_135_596_800, le=253_402_300_799)]
"""Seconds since the epoch by a worker's clock, of the years 1 to 9999: others can't be written as a date."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The artifact branch that a worker belongs to, named by its first commit (40 hex digits)."""

    root_commit: str
    environment: str


class UnitState(msgspec.Struct, frozen=True, kw_only=True):
    """One unit in systemd's words; since is seconds since the epoch by the worker's clock, blob its file's Git id.

    drop_ins are the files that override parts of it (`systemctl edit`): a hot edit that activation removes.
    next_run and last_run are a timer's, in seconds since the epoch: when it starts its job, and when it last did.
    Under supervisor blob is None and enabled True for every job that its configuration has.
    """

    active: str
    sub: str
    result: str
    main_pid: int
    restarts: int
    enabled: bool
    since: Moment | None = None
    blob: str | None = None
    drop_ins: tuple[str, ...] = ()
    next_run: Moment | None = None
    last_run: Moment | None = None


class ObservedFile(msgspec.Struct, frozen=True, array_like=True):
    path: str
    mode: str
    blob: str


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """An activation that nobody has confirmed yet: unless somebody does, the worker returns to `previous` by itself.

    previous: None where nothing was there before. token: what `confirm` presents. seconds_left: until it is undone,
    None while the activation is under way. phase: `activating`, which was cut short where the worker isn't busy, and
    has to be repeated; `waiting` for the confirmation; or `rolling-back`.
    """

    release: str
    previous: str | None
    token: str
    seconds_left: float | None = None
    phase: str = "waiting"


class RolledBackTo(msgspec.Struct, frozen=True, kw_only=True):
    """The last activation was undone: `release` was left for `to`, None where nothing was there before.

    at: seconds since the epoch by the worker's clock. token: that of the activation.
    """

    release: str
    to: str | None
    at: Moment
    reason: str
    token: str = ""


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever is at the other end of a channel does nothing: what the job's log says of it, and for how long."""

    message: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.message} ({self.seconds:.0f} s)"


class InputTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What came in by one end of a channel since the job's process started, and what of it is `done`: acknowledged.

    waiting: events (segments, batches) that lie in the channel for this step; None where nobody can tell. stalled:
    seconds since the last one was acknowledged, 0 where nothing waits.
    """

    port: str
    channel: str
    events: int
    bytes: int
    done: int
    waiting: int | None
    stalled: float
    away: Away | None = None


class OutputTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What went out by one end of a channel since the process started.

    consumers: of a store, events that lie there for each step that reads it; None where nobody can tell. blocked:
    seconds since something of it was last safe, 0 where all is.
    """

    port: str
    channel: str
    events: int
    bytes: int
    blocked: float
    consumers: dict[str, int | None] = msgspec.field(default_factory=dict)
    away: Away | None = None


class JobTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What a job said `age` seconds ago of the events that pass it, since its process `pid` started.

    read, done, failed: events taken in from wherever, those of them that are safe, and those that could not be handled.
    error: why the process failed, as its log has it, where no later one has become ready.
    """

    age: float
    pid: int
    read: int
    done: int
    failed: int
    inputs: tuple[InputTraffic, ...]
    outputs: tuple[OutputTraffic, ...]
    error: str = ""

    @property
    def trouble(self) -> str:
        """Why it failed, else the first that it waits for; empty where nothing of either is known."""
        if self.error:
            return f"it failed: {self.error}"
        away = [*(one.away for one in self.inputs), *(one.away for one in self.outputs)]
        return next((str(one) for one in away if one is not None), "")


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker holds and runs. In sync means tree == release == desired, and units as release.json says.

    files is empty unless tree differs from release. busy: an activation was under way, so the picture may be mixed.
    credentials: job -> secret -> fingerprint of what lies on the worker, made with the key that came with the question.
    copies: names of the unmanaged copies there, which are nobody's drift.
    switch: an activation waits for its confirmation. rolled_back: the last one was undone; there until the next
    activation succeeds. deployment: the highest number of a deployment that it was activated for, 0 for none.
    traffic: what its jobs say of the events that pass them, by job, if that was asked for.
    """

    owner: Owner | None
    release: str | None
    tree: str | None
    units: dict[str, UnitState]
    applied: dict[str, str]
    completed: tuple[str, ...]
    releases: tuple[str, ...]
    interrupted: bool
    files: tuple[ObservedFile, ...] = ()
    busy: bool = False
    credentials: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    copies: tuple[str, ...] = ()
    switch: Switch | None = None
    rolled_back: RolledBackTo | None = None
    deployment: int = 0
    traffic: dict[str, JobTraffic] = msgspec.field(default_factory=dict)
