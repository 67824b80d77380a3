"""What went well: for a workflow the last deployment that did, to return to; on a worker, whether that is known yet."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from gitopsd.daemon.artifacts.committed_jobs import committed_placement
from gitopsd.daemon.history.rollout_note import RolloutNote, RolloutRecord, read_rollouts
from gitopsd.model.artifacts import WORKERS_FOLDER, PlacementRecord
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, ArtifactHead, deployments, list_folder
from gitopsd.repo.repository import Repository

_FARTHEST = 200
"""Deployments that are looked at, each with its note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A deployment that went well for a workflow; `compiled` is the digest of the workflow's form in it."""

    commit: ArtifactCommit
    number: int
    compiled: str


class Record:
    """What the notes say of an environment's deployments, read as far back as is asked for."""

    def __init__(self, repository: Repository, branch: ArtifactBranch, head: ArtifactHead) -> None:
        self._repository = repository
        self._branch = branch
        self._coming = islice(deployments(repository, head.commit.id), _FARTHEST)
        self._known: list[_Deployment] = []

    def completed(self, workflow: str) -> Iterator[Completed]:
        """The deployments that went well for the workflow, newest first.

        That is: every worker that had jobs of it was seen well as far as these go, when that was last looked at.
        """
        position = 0
        while (deployment := self._at(position)) is not None:
            placement = committed_placement(self._repository, deployment.commit.tree, workflow)
            if placement and placement.jobs and self._went_well(position, workflow, placement):
                yield Completed(commit=deployment.commit, number=deployment.number, compiled=placement.compiled)
            position += 1

    def unproven(self, workers: Collection[str]) -> frozenset[str]:
        """Those on which no rollout has come to its end with their release: it was cut short, or hasn't begun there."""
        return frozenset(worker for worker in workers if self._last_tried(0, worker) is None)

    def _went_well(self, position: int, workflow: str, placement: PlacementRecord) -> bool:
        return all(self._was_well(position, workflow, worker) for worker in set(placement.jobs.values()))

    def _was_well(self, position: int, workflow: str, worker: str) -> bool:
        last = self._last_tried(position, worker)
        return last is not None and _is_well(last, workflow, worker)

    def _last_tried(self, position: int, worker: str) -> RolloutRecord | None:
        """What was last seen of the worker counts for as long as its release is the same one."""
        deployment = self._at(position)
        release = deployment.releases.get(worker) if deployment else None
        while deployment is not None and release is not None and deployment.releases.get(worker) == release:
            tried = next((one for one in reversed(deployment.note.rollouts) if one.tried(worker)), None)
            if tried is not None:
                return tried
            position += 1
            deployment = self._at(position)
        return None

    def _at(self, position: int) -> "_Deployment | None":
        while len(self._known) <= position:
            commit = next(self._coming, None)
            if commit is None:
                return None
            self._known.append(_Deployment(self._repository, self._branch, commit))
        return self._known[position]


class _Deployment:
    def __init__(self, repository: Repository, branch: ArtifactBranch, commit: ArtifactCommit) -> None:
        self._repository = repository
        self._branch = branch
        self.commit = commit
        self.number = commit.trailers.deployment if commit.trailers else 0

    @cached_property
    def note(self) -> RolloutNote:
        return read_rollouts(self._repository, self._branch, self.commit)

    @cached_property
    def releases(self) -> dict[str, str]:
        folder = list_folder(self._repository, self.commit.tree, WORKERS_FOLDER)
        return {name: entry.id for name, entry in folder.items()}


def _is_well(rollout: RolloutRecord, workflow: str, worker: str) -> bool:
    """Whether the worker was well, or what failed there was other workflows' jobs alone."""
    if worker not in rollout.errors:
        return True
    failed = rollout.failed_jobs.get(worker, ())
    return bool(failed) and not any(job.partition(".")[0] == workflow for job in failed)
