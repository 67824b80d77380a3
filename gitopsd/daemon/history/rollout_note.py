"""What became of a deployment: one JSON note on its commit, with an entry for each rollout of it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.history.brought import Brought, brought_by
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.not_json import NOT_JSON
from gitopsd.planner.hot_edits import HotEdit
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, ArtifactHead
from gitopsd.repo.notes import read_note, update_note
from gitopsd.repo.repository import Repository

_KEPT_ROLLOUTS = 20
_LONGEST_ERROR = 500
_UNWELL = frozenset({"failed", "rolled-back", "unreachable"})
# of a rollout: diffs in all, and edits of one worker
_MOST_RECORDED = 32 * 1024
_MOST_EDITS = 100


class RolloutRecord(Struct, frozen=True, kw_only=True):
    """One run over the fleet: times in UTC, how many workers ended how, and why for those that are not well.

    `not_attempted` are those that an interrupted rollout did not come to, or did not see the end of: the latter are
    `unfinished`, too. `only` are the workers that it was about, empty for all of them. `overwritten`: worker ->
    edits by hand that were there.
    `failed`: the workers on which what they were newly given failed; `failed_jobs`: worker -> the jobs that failed
    there. `stopped`: group -> why no more of its workers were begun. `superseded_by`: the newer deployment that made it
    end early; `paused`: who paused the environment meanwhile, and why, which did so; `interrupted`: a person did.
    """

    started: str
    finished: str
    counts: dict[str, int]
    errors: dict[str, str] = field(default_factory=dict)
    not_attempted: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    overwritten: dict[str, tuple[HotEdit, ...]] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    failed_jobs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    superseded_by: int | None = None
    paused: str = ""
    interrupted: bool = False

    def tried(self, worker: str) -> bool:
        """Whether it came to this worker, and saw what became of it."""
        return worker not in self.not_attempted and (not self.only or worker in self.only)


class Reverted(Struct, frozen=True, kw_only=True):
    """What an automatic revert did about a workflow: `by` is the deployment that has its jobs as deployment `to` had.

    `to` is 0 where none of its deployments ever went well, and its jobs were taken out.
    """

    by: int
    to: int
    reason: str


class Reviewed(Struct, frozen=True, kw_only=True):
    """A deployment beside the pull request that its version came from: digests of the effects shown, and deployed.

    `shown` is empty where it was merged before anything was shown.
    """

    pull_request: int
    shown: str
    deployed: str
    same: bool


class RolloutNote(Struct, frozen=True, kw_only=True):
    """The note on a deployment's commit, oldest rollout first. `reverted`: workflow -> what was done about it.

    `brings` are the commits of the source branch that it was the first to have; None until its first rollout ends.
    `reviewed`: whether it did what its pull request showed; None where it came without one, or nobody asked.
    """

    format: int = 1
    rollouts: tuple[RolloutRecord, ...] = ()
    reverted: dict[str, Reverted] = field(default_factory=dict)
    brings: Brought | None = None
    reviewed: Reviewed | None = None


def record_reviewed(
    workspace: Workspace, branch: ArtifactBranch, deployment: ArtifactCommit, reviewed: Reviewed
) -> None:
    """Once, whatever becomes of it. Raises RepositoryError."""
    update_note(
        workspace.repository,
        branch,
        workspace.remote,
        deployment.id,
        lambda present: replace(parse_note(present), reviewed=reviewed),
    )


def record_rollout(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    rollout: Rollout,
    workers: Collection[str],
    *,
    started: datetime,
    overwritten: Mapping[str, Sequence[HotEdit]],
    all_workers: bool = True,
) -> None:
    """Adds a rollout over `workers`, all of the fleet or some, to the newest deployment's note.

    One that found in sync what it came to is kept only where the note doesn't say so already: a controller that starts
    is often called away before it has looked at any worker, and that is no news of what has converged. `overwritten`
    has what was about to be overwritten, also on workers whose end nobody saw. Raises RepositoryError.
    """
    if head.deployment is None:
        return
    results = rollout.results
    if not rollout.unfinished and all(result.state == "in-sync" for result in results):
        earlier = read_rollouts(workspace.repository, branch, head.deployment).rollouts
        if earlier and not _unwell(earlier, workers):
            return
    record = RolloutRecord(
        started=_timestamp(started),
        finished=_timestamp(datetime.now(UTC)),
        counts=_counts(rollout),
        errors={result.worker: _summary(result) for result in results if result.state in _UNWELL},
        not_attempted=tuple(sorted((*rollout.not_attempted, *rollout.unfinished))),
        unfinished=tuple(sorted(rollout.unfinished)),
        only=() if all_workers else tuple(sorted(workers)),
        overwritten=_within_limit(overwritten),
        failed=rollout.failed,
        failed_jobs=dict(sorted(rollout.failed_jobs.items())),
        stopped=dict(rollout.stopped),
        superseded_by=rollout.superseded_by,
        paused=rollout.paused,
        interrupted=rollout.interrupted,
    )

    deployment = head.deployment

    def add(present: bytes | None) -> Any:
        note = parse_note(present)
        brings = note.brings or brought_by(workspace.repository, deployment)
        return replace(note, rollouts=_still_needed((*note.rollouts, record)), brings=brings)

    update_note(workspace.repository, branch, workspace.remote, deployment.id, add)


def _counts(rollout: Rollout) -> dict[str, int]:
    counted = Counter[str](result.state for result in rollout.results)
    counted |= Counter({"not attempted": len(rollout.not_attempted), "unfinished": len(rollout.unfinished)})
    return dict(sorted(counted.items()))


def _still_needed(rollouts: Sequence[RolloutRecord]) -> tuple[RolloutRecord, ...]:
    """The newest ones, and those before them that have the last word on a worker, or on all that are never named."""
    names = {name for one in rollouts for name in (*one.only, *one.failed, *one.errors, *one.not_attempted)}
    kept = list(rollouts[-_KEPT_ROLLOUTS:])
    unknown = {name for name in names if not any(one.tried(name) for one in kept)}
    for rollout in reversed(rollouts[:-_KEPT_ROLLOUTS]):
        known = {name for name in unknown if rollout.tried(name)}
        if known or (not rollout.only and all(one.only for one in kept)):
            kept.insert(0, rollout)
            unknown -= known
    return tuple(kept)


def failed_last(repository: Repository, branch: ArtifactBranch, head: ArtifactHead) -> frozenset[str]:
    """The workers on which the newest deployment failed, or was undone, when it was last tried there."""
    if head.deployment is None:
        return frozenset()
    last: dict[str, bool] = {}
    for rollout in read_rollouts(repository, branch, head.deployment).rollouts:
        last |= {worker: False for worker in last if rollout.tried(worker) and worker not in rollout.errors}
        last |= dict.fromkeys(rollout.failed, True)
    return frozenset(worker for worker, failed in last.items() if failed)


def read_rollouts(repository: Repository, branch: ArtifactBranch, deployment: ArtifactCommit) -> RolloutNote:
    return parse_note(read_note(repository, branch, deployment.id))


def parse_note(content: bytes | None) -> RolloutNote:
    """The note; one that is not ours to read counts as empty, since anybody may write notes."""
    try:
        return msgspec.json.decode(content or b"{}", type=RolloutNote)
    except NOT_JSON:
        return RolloutNote()


def _unwell(rollouts: Sequence[RolloutRecord], workers: Collection[str]) -> bool:
    """Whether the last that is known of any of the workers is that it wasn't well, or nothing."""
    for worker in workers:
        tried = [rollout for rollout in rollouts if not rollout.only or worker in rollout.only]
        if not tried or worker in tried[-1].errors or worker in tried[-1].not_attempted:
            return True
    return False


def _within_limit(overwritten: Mapping[str, Sequence[HotEdit]]) -> dict[str, tuple[HotEdit, ...]]:
    """Notes are fetched by everybody: past the limit only the paths are kept."""
    left = _MOST_RECORDED
    kept: dict[str, tuple[HotEdit, ...]] = {}
    for worker, edits in sorted(overwritten.items()):
        for edit in edits[:_MOST_EDITS]:
            left -= len(edit.diff)
            recorded = edit if left >= 0 else replace(edit, diff="", note="the diff is left out: there were too many")
            kept[worker] = (*kept.get(worker, ()), recorded)
    return kept


def _summary(result: WorkerResult) -> str:
    failures = [f"{job}: {message}" for job, (message, _) in result.failures.items()]
    return ("; ".join(failures) or result.error)[:_LONGEST_ERROR]


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
