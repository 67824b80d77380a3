"""What a rollout came to, once it has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.planner.drift import DRIFT_OF_JOBS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One run over workers, over, stopped, superseded, paused or interrupted.

    `not_attempted`: the workers that it didn't come to; `unfinished`: those that were begun, and whose end nobody
    waited for. `stopped`: group -> why no more of its workers were begun. Two things make it end early beside a person:
    `superseded_by`, the number of a newer deployment, and `paused`, who paused the environment meanwhile, and why.
    `failed`: the workers on which what they were newly given failed, whether they could be reached afterwards or not.
    `failed_jobs`: worker -> the jobs that failed there; a worker that failed without one there failed as a whole.
    `failed_workflows` are those that failed anywhere; `to_revert` those of them that a new version made fail on workers
    whose group has `auto_revert`, which none are when it ended early.
    """

    results: tuple[WorkerResult, ...] = ()
    not_attempted: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)
    superseded_by: int | None = None
    paused: str = ""
    interrupted: bool = False
    failed: tuple[str, ...] = ()
    failed_jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failed_workflows: tuple[str, ...] = ()
    to_revert: tuple[str, ...] = ()

    @property
    def ended_early(self) -> bool:
        """Whether something other than its workers ended it."""
        return self.interrupted or bool(self.paused) or self.superseded_by is not None

    @property
    def is_complete(self) -> bool:
        """Whether the end of every worker was seen."""
        return not self.not_attempted and not self.unfinished


def jobs_that_failed(result: WorkerResult) -> tuple[str, ...]:
    """The jobs that kept a worker from being well; none where it failed as a whole, or is well."""
    if not result.failures:
        return ()
    remaining = result.drift if result.error else ()
    if any(one.kind not in DRIFT_OF_JOBS for one in remaining):
        return ()
    return tuple(dict.fromkeys((*result.failures, *(one.subject for one in remaining))))


def workflow_of(job: str) -> str:
    """The workflow that a job is of: `orders` of `orders.collect.0`."""
    return job.partition(".")[0]
