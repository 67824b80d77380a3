"""What became of a deployment on each of its workers, by its note."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from gitopsd.daemon.history.rollout_note import RolloutRecord
from gitopsd.model.artifacts import WORKERS_FOLDER
from gitopsd.repo.artifacts import ArtifactCommit, list_folder
from gitopsd.repo.repository import Repository


class WorkerOutcome(Struct, frozen=True, kw_only=True):
    """What the last run that came to the worker saw: `in-sync` as of `at`, or why not.

    `not-attempted`: runs ended before they came to it, or before its end was seen; `unknown`: no run is recorded.
    """

    worker: str
    outcome: Literal["in-sync", "failed", "not-attempted", "unknown"]
    at: str = ""
    error: str = ""


def worker_outcomes(
    repository: Repository, deployment: ArtifactCommit, rollouts: Sequence[RolloutRecord]
) -> tuple[WorkerOutcome, ...]:
    """All workers that the deployment has a release for, by name."""
    workers = list_folder(repository, deployment.tree, WORKERS_FOLDER)
    return tuple(_outcome(worker, rollouts) for worker in sorted(workers))


def _outcome(worker: str, rollouts: Sequence[RolloutRecord]) -> WorkerOutcome:
    last = next((one for one in reversed(rollouts) if one.tried(worker)), None)
    if last is None:
        missed = next((one for one in reversed(rollouts) if worker in one.not_attempted), None)
        outcome: Literal["not-attempted", "unknown"] = "not-attempted" if missed else "unknown"
        return WorkerOutcome(worker=worker, outcome=outcome, at=missed.finished if missed else "")
    if worker in last.errors:
        return WorkerOutcome(worker=worker, outcome="failed", at=last.finished, error=last.errors[worker])
    return WorkerOutcome(worker=worker, outcome="in-sync", at=last.finished)
