"""What became of a deployment: one JSON note on its commit, with an entry for each rollout of it."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, ArtifactHead
from gitopsd.repo.notes import read_note, update_note
from gitopsd.repo.repository import Repository

_KEPT_ROLLOUTS = 20
_LONGEST_ERROR = 500


class RolloutRecord(Struct, frozen=True, kw_only=True):
    """One run over the fleet: times in UTC, how many workers ended how, and why for those that are not well.

    `not_attempted` are those that an interrupted rollout did not come to, or did not see the end of.
    """

    started: str
    finished: str
    counts: dict[str, int]
    errors: dict[str, str] = field(default_factory=dict)
    not_attempted: tuple[str, ...] = ()


class RolloutNote(Struct, frozen=True, kw_only=True):
    """The note on a deployment's commit, oldest rollout first."""

    format: int = 1
    rollouts: tuple[RolloutRecord, ...] = ()


def record_rollout(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    results: Sequence[WorkerResult],
    workers: Collection[str],
    *,
    started: datetime,
) -> None:
    """Adds a rollout over `workers` to the newest deployment's note.

    One that found everything in sync is kept only where the note doesn't say so already. Raises RepositoryError.
    """
    if head.deployment is None:
        return
    missing = sorted(set(workers) - {result.worker for result in results})
    if not missing and all(result.state == "in-sync" for result in results):
        earlier = read_rollouts(workspace.repository, branch, head.deployment).rollouts
        if earlier and not earlier[-1].errors and not earlier[-1].not_attempted:
            return
    rollout = RolloutRecord(
        started=_timestamp(started),
        finished=_timestamp(datetime.now(UTC)),
        counts=dict(sorted(Counter([*(one.state for one in results), *("not attempted" for _ in missing)]).items())),
        errors={result.worker: _summary(result) for result in results if result.state in {"failed", "unreachable"}},
        not_attempted=tuple(missing),
    )

    def add(present: bytes | None) -> Any:
        note = parse_note(present)
        return RolloutNote(rollouts=(*note.rollouts, rollout)[-_KEPT_ROLLOUTS:])

    update_note(workspace.repository, branch, workspace.remote, head.deployment.id, add)


def read_rollouts(repository: Repository, branch: ArtifactBranch, deployment: ArtifactCommit) -> RolloutNote:
    return parse_note(read_note(repository, branch, deployment.id))


def parse_note(content: bytes | None) -> RolloutNote:
    """The note; one that is not ours to read counts as empty, since anybody may write notes."""
    try:
        return msgspec.json.decode(content or b"{}", type=RolloutNote)
    except msgspec.DecodeError:
        return RolloutNote()


def _summary(result: WorkerResult) -> str:
    failures = [f"{job}: {message}" for job, (message, _) in result.failures.items()]
    return ("; ".join(failures) or result.error)[:_LONGEST_ERROR]


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
