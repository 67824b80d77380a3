"""The agent's answers, typed. Fields that a newer agent adds are ignored, so that either side may be updated first."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gitopsd.fleet.errors import WorkerRefused
from gitopsd.fleet.wire import excerpt
from gitopsd.model.facts import Moment, Observation, Owner, UnitState  # noqa: TC001 -- msgspec reads the annotations at run time


class JobFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job isn't up, and the last lines of its log."""

    message: str
    log: tuple[str, ...] = ()


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """What one activation did to each job, and what was read back afterwards; seconds by step.

    failed: certainly not up, and so in none of the other lists. pending: started, restarted or reloaded, but not known
    to be ready: `health` tells. token: a switch is armed, and undoes all this unless `confirm` presents it in time.
    warnings: what could not be done as it should, and yet was no reason to stop.
    """

    started: tuple[str, ...]
    restarted: tuple[str, ...]
    reloaded: tuple[str, ...]
    stopped: tuple[str, ...]
    unchanged: tuple[str, ...]
    failed: dict[str, JobFailure]
    daemon_reload: bool
    seconds: dict[str, float]
    observation: Observation
    pending: tuple[str, ...] = ()
    token: str | None = None
    warnings: tuple[str, ...] = ()


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    confirmed: bool


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """An activation was undone: `previous` was left for `release`, None where nothing was there before it."""

    release: str | None
    previous: str
    failed: dict[str, JobFailure] = {}
    observation: Observation | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Each job of the release is in one of the three; reasons: why each pending one doesn't count as healthy yet.

    observation: once none is pending.
    """

    healthy: tuple[str, ...]
    pending: tuple[str, ...]
    failed: dict[str, JobFailure]
    reasons: dict[str, str] = {}
    observation: Observation | None = None

    @property
    def settled(self) -> bool:
        return not self.pending


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a machine; problems are what keeps it from being a worker, each with the way out.

    unanswered: features whose programs are there but didn't tell their version in time.
    """

    python: str
    features: dict[str, str]
    os: str
    architecture: str
    user: str
    problems: tuple[str, ...]
    owner: Owner | None = None
    unanswered: tuple[str, ...] = ()


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    removed: tuple[str, ...]
    in_use: tuple[str, ...] = ()


class TornDown(msgspec.Struct, frozen=True, kw_only=True):
    units: tuple[str, ...]
    directories: tuple[str, ...]


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    lines: tuple[str, ...]


class ShownFile(msgspec.Struct, frozen=True, kw_only=True):
    """A managed file as it is on the worker: its text, or the problem why there is none."""

    path: str
    text: str | None = None
    problem: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    shown: tuple[ShownFile, ...]


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a worker belongs to, None for nobody, and the newest deployment that it was activated for, 0 for none.

    activated: when it last was, in seconds since the epoch by the worker's clock.
    """

    owner: Owner | None
    deployment: int = 0
    activated: Moment | None = None


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """changed is False where the worker had this owner already, and was activated for no deployment yet."""

    owner: Owner
    changed: bool


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """An unmanaged copy of a job. `job` and `release` are what it was made from, empty where its record is damaged;
    `state` is None where the service manager doesn't know it. made: seconds by the worker's clock.
    """

    name: str
    unit: str
    directory: str
    job: str
    release: str
    made: Moment | None = None
    secrets: tuple[str, ...] = ()
    state: UnitState | None = None


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    copies: tuple[Copy, ...]


class Cloned(msgspec.Struct, frozen=True, kw_only=True):
    """log: the last lines that the copy printed, where it was started."""

    copy: Copy
    log: tuple[str, ...] = ()


class RemovedCopy(msgspec.Struct, frozen=True, kw_only=True):
    removed: tuple[str, ...]


class Fed(msgspec.Struct, frozen=True, kw_only=True):
    """How many events were handed to the input `port` of a copy, and how many of them it has acknowledged."""

    port: str
    events: int
    acknowledged: int


_T = TypeVar("_T")


def decode(worker: str, verb: str, answer: dict[str, Any], kind: type[_T]) -> _T:
    """An answer as its type; WorkerRefused `protocol` names what doesn't fit."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        found = excerpt(msgspec.json.encode(answer))
        raise WorkerRefused(
            worker, "protocol", f"{worker}: the answer to `{verb}` does not fit: {error}; it ends with {found}"
        ) from None
