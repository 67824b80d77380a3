"""What a plan does, apart from which version it is of: what was shown of one commit can be compared with another's.

A plan's digest is over its inputs, so it is another one as soon as the artifact branch moves, even by a cordon of a
worker that has nothing to do with it. Its effects are the same as long as it does the same to the same jobs.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from gitopsd.model.plan import JobChange, Plan
from gitopsd.planner.plan.sides import JobEntry, Side

_STAYS = frozenset({"unchanged", "held"})


def made_of(side: Side, job: str) -> str:
    """40 hex digits over all that the job is made of and how it is looked after; empty where it isn't there."""
    entry = side.jobs.get(job)
    return hash_of(entry) if entry is not None else ""


def hash_of(entry: JobEntry) -> str:
    """40 hex digits over a job's part of `release.json`."""
    return hashlib.sha256(msgspec.json.encode(entry, order="sorted")).hexdigest()[:40]


def effects_digest(plan: Plan) -> str:
    """40 hex digits over what becomes of each job, whichever commit says so and whatever else is deployed.

    It is the same for a plan that is held and for that plan confirmed.
    """
    return digest_of(plan.changes, plan.changed_workers)


def digest_of(changes: Sequence[JobChange], changed_workers: Collection[str]) -> str:
    """The same of changes that are committed already."""
    return hashlib.sha256(msgspec.json.encode(sorted(_effects(changes, changed_workers)))).hexdigest()[:40]


def effects_by_job(
    changes: Sequence[JobChange], changed_workers: Collection[str], most: int = 2_000
) -> Mapping[str, str]:
    """`worker job` -> 12 hex digits over what becomes of it, to find out where two of them differ; empty for too many.

    A worker whose release changes without any of its jobs stands by its name.
    """
    found = {
        " ".join(one[:2]): hashlib.sha256(msgspec.json.encode(one)).hexdigest()[:12]
        for one in _effects(changes, changed_workers)
    }
    return found if len(found) <= most else {}


def _effects(changes: Sequence[JobChange], changed_workers: Collection[str]) -> Iterator[tuple[str, ...]]:
    """(worker, job, what becomes of it, where it was, what it is made of before and after); of a worker whose release
    changes without any of its jobs, its name alone.
    """
    told = set[str]()
    for change in changes:
        if change.action in _STAYS and change.effect == "none":
            continue
        told |= {change.worker, change.moved_from}
        action = "delete" if change.action == "held" else change.action
        yield (change.worker, change.job, action, change.effect, change.moved_from, change.before, change.after)
    for worker in changed_workers:
        if worker not in told:
            yield (worker,)
