"""What changed from one deployment to another, as both are committed."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.plan import JobChange
from gitopsd.planner.plan.compare import Comparison
from gitopsd.planner.plan.diff import ReleaseReader
from gitopsd.planner.plan.sides import Side, no_side, side_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """One deployment: its releases, and its workers by name."""

    releases: ReleaseReader
    fleet: Mapping[str, PlacedWorker]


def changes_between(before: Committed, after: Committed) -> tuple[tuple[str, ...], tuple[JobChange, ...]]:
    """The workers whose releases differ, and what became of every job, worker by worker."""
    old_ids, new_ids = before.releases.release_ids(), after.releases.release_ids()
    workers = sorted({*old_ids, *new_ids})
    changed = tuple(worker for worker in workers if old_ids.get(worker) != new_ids.get(worker))
    same = {worker: _side(after.releases, new_ids[worker]).jobs for worker in workers if worker not in changed}
    comparison = Comparison(
        old={worker: _side(before.releases, old_ids[worker]) for worker in changed if worker in old_ids},
        new={worker: _side(after.releases, new_ids[worker]) if worker in new_ids else no_side() for worker in changed},
        same_jobs=[job for jobs in same.values() for job in jobs],
        fleet_before=before.fleet,
        fleet=after.fleet,
        moved_because={},
        kept_away={},
        returns=False,
        held={},
    )
    changes: list[JobChange] = []
    for worker in workers:
        if worker in same:
            changes += [comparison.same(worker, job) for job in sorted(same[worker])]
        else:
            changes += comparison.changes(worker, gone="delete")
    return changed, tuple(changes)


def _side(releases: ReleaseReader, release: str) -> Side:
    return side_of(releases.files(release), releases.blob)
