"""Which workers are given up as lost, so that what ran there is placed elsewhere; and why others are not.

Only silence counts: a worker that refuses the login or shows another host key is there. A group is judged as a whole,
since a controller that reaches few of its workers is more likely cut off itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from gitopsd.model.artifacts import PlacedWorker
from gitopsd.planner.plan.job_document import JobDocument

AWAY_AT_MOST = 30
"""Percent of a group: where more of it is away, nothing of it moves."""

_MOST_NAMES = 5


class Instant(Struct, frozen=True):
    """`wall`: seconds since the epoch; `steady`: seconds since this `boot` of the controller's machine.

    Lengths of time are taken from the steady clock, which nobody sets.
    """

    wall: float
    steady: float
    boot: str


class Absence(Struct, frozen=True, kw_only=True):
    """Attempts in a row at which a worker was silent: the first and the last of them, and how many."""

    first: Instant
    last: Instant
    attempts: int

    @property
    def seconds(self) -> float:
        """How long it is known to be away: between the attempts, not since somebody last looked."""
        return self.last.steady - self.first.steady


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """On a worker that has been silent for as long as its group allows. `kept_because` is empty for one that is lost"""

    worker: str
    absence: Absence
    kept_because: str = ""


def silent_again(before: Absence | None, now: Instant) -> Absence:
    """One more silent attempt. Before a reboot of the controller's machine nothing is known to be without a gap."""
    if before is None or before.first.boot != now.boot or now.steady < before.last.steady:
        return Absence(first=now, last=now, attempts=1)
    return Absence(first=before.first, last=now, attempts=before.attempts + 1)


def judge(
    workers: Mapping[str, PlacedWorker],
    absences: Mapping[str, Absence],
    lost: Collection[str],
    held_back: Mapping[str, str],
) -> tuple[Verdict, ...]:
    """By name, those whose time is over. `lost` were given up before; `held_back`: worker -> what it holds, as text."""
    verdicts = []
    for name, absence in sorted(absences.items()):
        worker = workers.get(name)
        if worker is None or name in lost or not is_over(worker, absence):
            continue
        because = _group_is_away(worker.group, workers, absences.keys() | set(lost)) or held_back.get(name, "")
        verdicts.append(Verdict(worker=name, absence=absence, kept_because=because))
    return tuple(verdicts)


def is_over(worker: PlacedWorker, absence: Absence) -> bool:
    """Whether the worker has been silent for as long as its group allows, at two attempts or more."""
    allowed = 0 < worker.lost_after <= absence.seconds and absence.attempts > 1
    return allowed and worker.connection == "ssh" and not worker.leaving


def must_be_tried(worker: PlacedWorker, absence: Absence | None, now: Instant) -> bool:
    """Whether one more silent attempt would make the worker's time over: that isn't put off."""
    if absence is None or absence.first.boot != now.boot or is_over(worker, absence):
        return False
    return 0 < worker.lost_after <= now.steady - absence.first.steady


def local_spools(jobs: Mapping[str, JobDocument], worker: PlacedWorker) -> str:
    """What lies on the worker alone and would be left behind, in words; empty where nothing does.

    A job that is described in a form that isn't known here may hold anything.
    """
    found: list[str] = []
    for name, document in sorted(jobs.items()):
        if not document.kind:
            return f"what `{name}` holds there can't be known: it is described in a form of another version"
        paths = {end.path for end in (*document.inputs, *document.outputs) if end.path}
        found += [path for path in sorted(paths) if not _is_shared(path, worker) and path not in found]
    if not found:
        return ""
    shown = ", ".join(found[:_MOST_NAMES]) + (" and more" if len(found) > _MOST_NAMES else "")
    return f"events may lie in {shown} there, and nowhere else"


def _is_shared(path: str, worker: PlacedWorker) -> bool:
    return any(f"{path}/".startswith(f"{mount.rstrip('/')}/") for mount in worker.mounts)


def _group_is_away(group: str, workers: Mapping[str, PlacedWorker], away: Collection[str]) -> str:
    members = [name for name, worker in workers.items() if worker.group == group and not worker.leaving]
    missing = [name for name in members if name in away]
    if len(missing) * 100 <= len(members) * AWAY_AT_MOST:
        return ""
    return (
        f"{len(missing)} of {len(members)} workers of `{group}` are away, more than {AWAY_AT_MOST} %: {_named(missing)}"
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )
