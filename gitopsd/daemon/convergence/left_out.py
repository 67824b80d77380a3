"""Workers that a reconcile leaves alone for now, since they were tried in vain a short while ago."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from gitopsd.daemon.artifacts.control import moment
from gitopsd.daemon.convergence.attempts import Remembered
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.backoff import InVain, Trouble, Version
from gitopsd.planner.lost import Instant, must_be_tried

_NOTHING = Remembered()


class TriedInVain(Struct, frozen=True, kw_only=True):
    """What became of the last attempts at a worker, with which deployment; `attempts` in a row came to the same.

    Times are UTC. `next` is when `reconcile` tries it again by itself; empty where it does so whenever it runs.
    """

    worker: str
    trouble: Trouble
    attempts: int
    deployment: int
    error: str
    last: str
    next: str = ""


def in_backoff(
    desired: Mapping[str, DesiredRelease],
    deployment: int,
    known: Mapping[str, Remembered],
    *,
    fleet: Mapping[str, PlacedWorker],
    lost: Collection[str],
    now: Instant,
) -> dict[str, TriedInVain]:
    """Those of the workers that aren't due, by name. One that may turn out to be lost is not put off for longer."""
    found: dict[str, TriedInVain] = {}
    for name, release in desired.items():
        remembered = known.get(name, _NOTHING)
        if name in fleet and name not in lost and must_be_tried(fleet[name], remembered.absence, now):
            continue
        holding = remembered.backoff.holding(Version(deployment, release.id), now.wall)
        if holding is not None:
            found[name] = _told(name, *holding, due=False)
    return found


def tried_in_vain(
    remembered: Remembered | None, desired: DesiredRelease, deployment: int, now: Instant
) -> TriedInVain | None:
    """The last attempts at a worker, in backoff or not; None where the last one went well, or nothing is known."""
    backoff = (remembered or _NOTHING).backoff
    if backoff.last is None:
        return None
    due = backoff.holding(Version(deployment, desired.id), now.wall) is None
    return _told(desired.worker, *backoff.last, due=due)


def _told(worker: str, trouble: Trouble, tried: InVain, *, due: bool) -> TriedInVain:
    return TriedInVain(
        worker=worker,
        trouble=trouble,
        attempts=tried.attempts,
        deployment=tried.version.deployment,
        error=tried.error,
        last=utc(tried.at),
        next="" if due else utc(tried.next + 0.999),  # in whole seconds: not before it is due
    )


def utc(wall: float) -> str:
    """A time in seconds since the epoch, as it is shown."""
    return moment(datetime.fromtimestamp(wall, UTC))
