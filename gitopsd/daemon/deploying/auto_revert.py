"""After a failed rollout: the workflows that failed go back to their last deployment that went well, and stay there."""

from collections.abc import Collection, Generator
from typing import Any, Protocol

from msgspec.structs import replace

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.artifacts.state import read_fleet, read_groups
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.convergence.attempts import attempts_of, remembering
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import RolloutReporter
from gitopsd.daemon.convergence.rollout_summary import Rollout, workflow_of
from gitopsd.daemon.history.rollout_note import Reverted, parse_note
from gitopsd.daemon.reverting.revert_commit import Revert, commit_revert
from gitopsd.daemon.rollout.deployed_values import deployed_values
from gitopsd.daemon.rollout.rollout import roll_out
from gitopsd.daemon.workspace import Workspace
from gitopsd.planner.rollout.groups import ALL_AT_ONCE
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.notes import update_note


class Reporter(RolloutReporter, Protocol):
    """Is told what a revert comes to as it goes on."""

    def note(self, message: str) -> None:
        """Something that was done, or why it wasn't, in a sentence."""
        ...

    def reverted(self, revert: Revert) -> None:
        """Before any worker is touched."""
        ...


def auto_revert(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, rollout: Rollout, *, reporter: Reporter
) -> Generator[WorkerResult, None, None]:
    """Reverts what `rollout` of `head` says is to be reverted, and converges on that; yields workers as they end.

    Workers that were given what failed go back all at once, without a canary, a budget or a wave; those that it never
    came to follow as their groups ask for. What fails there may be another workflow, which goes back then as well: each
    does so once at most, since it is quarantined from then on. To be called under the environment's lock, once the
    rollout's note is written. Raises RepositoryError.
    """
    if rollout.to_revert and _is_upgrade(head):
        reporter.note(
            "nothing is reverted: an earlier deployment's jobs would run on the new gitopsd's runtime as well"
        )
        return
    waiting = frozenset(rollout.not_attempted)
    while rollout.to_revert:
        what = {name: what_failed(rollout, name) for name in rollout.to_revert}
        revert = commit_revert(workspace, branch, head, what, note=reporter.note)
        if revert is None:
            return
        reporter.reverted(revert)
        _record(workspace, branch, head, revert, reporter)
        head = revert.head
        desired = desired_releases(workspace.repository, head.commit.tree)
        secrets = deployed_values(workspace, head, desired, reporter)
        back = {name: desired[name] for name in revert.workers if name not in waiting}
        rest = {name: release for name, release in desired.items() if name not in back}
        attempts = attempts_of(workspace, branch)
        if back:
            going_back = roll_out(
                workspace,
                branch,
                head,
                back,
                secrets=secrets,
                reporter=reporter,
                all_workers=not rest,
                settings=replace(ALL_AT_ONCE, auto_revert=_all_revert(workspace, head, back)),
            )
            rollout = yield from remembering(attempts, number_of(head), back, going_back)
        if rollout.ended_early:
            return
        if rest and not set(rollout.to_revert) - revert.quarantines.keys():
            others = roll_out(workspace, branch, head, rest, secrets=secrets, reporter=reporter, all_workers=False)
            rollout = yield from remembering(attempts, number_of(head), rest, others)
            waiting = frozenset(rollout.not_attempted)


def _is_upgrade(head: ArtifactHead) -> bool:
    """Of gitopsd itself: no workflow is to blame, so none is quarantined."""
    trailers = head.deployment.trailers if head.deployment else None
    return trailers is not None and trailers.trigger == "upgrade"


def _all_revert(workspace: Workspace, head: ArtifactHead, workers: Collection[str]) -> bool:
    """Whether all of these workers are in groups with `auto_revert`."""
    fleet = read_fleet(workspace.repository, head.commit.tree)
    groups = read_groups(workspace.repository, head.commit.tree)
    return all(fleet[name].group in groups and groups[fleet[name].group].auto_revert for name in workers)


def what_failed(rollout: Rollout, workflow: str) -> str:
    """The first of its jobs that failed, and where; else the first worker that did as a whole."""
    for result in rollout.results:
        for job, (message, _) in result.failures.items():
            if workflow_of(job) == workflow:
                return f"{job} on {result.worker}: {message}"
    for result in rollout.results:
        if result.worker in rollout.failed and not result.failures:
            return f"{result.worker}: {result.error.removeprefix(f'{result.worker}: ')}"
    return "its rollout failed"


def _record(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, revert: Revert, reporter: Reporter
) -> None:
    """Adds to the note of the deployment that failed what was done about it."""
    if head.deployment is None:
        return
    done = {
        name: Reverted(by=revert.deployment, to=one.returns_to, reason=one.reason)
        for name, one in revert.quarantines.items()
    }

    def add(present: bytes | None) -> Any:
        note = parse_note(present)
        return replace(note, reverted={**note.reverted, **done})

    try:
        update_note(workspace.repository, branch, workspace.remote, head.deployment.id, add)
    except RepositoryError as error:
        reporter.warn(f"that workflows were reverted could not be noted: {error.message}")
