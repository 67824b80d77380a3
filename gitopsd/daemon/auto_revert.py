"""After a failed rollout: the workflows that failed go back to their last deployment that went well, and stay there."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.releases import desired_releases
from gitopsd.daemon.revert_commit import Revert, commit_revert
from gitopsd.daemon.rollout import RolloutReporter, roll_out
from gitopsd.daemon.rollout_note import Reverted, parse_note
from gitopsd.daemon.secrets.handover import secret_names
from gitopsd.daemon.secrets.resolve import resolve_secrets
from gitopsd.daemon.workspace import Workspace
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
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    failed_workflows: Mapping[str, str],
    *,
    reporter: Reporter,
) -> Iterator[WorkerResult]:
    """Commits the revert and converges on it: all workers that it changes at once, without a canary or a wave.

    `head` is what was rolled out, once its note is written; `failed_workflows` are those to go back, with what went
    wrong. Yields each worker's result. To be called under the environment's lock. Raises RepositoryError.
    """
    if not failed_workflows:
        return
    revert = commit_revert(workspace, branch, head, failed_workflows, note=reporter.note)
    if revert is None:
        return
    reporter.reverted(revert)
    _record(workspace, branch, head, revert, reporter)
    desired = desired_releases(workspace.repository, revert.head.commit.tree)
    affected = {worker: desired[worker] for worker in revert.workers}
    names = {name for release in affected.values() for name in secret_names(release)}
    trailers = revert.head.deployment.trailers if revert.head.deployment else None
    commit = trailers.source_commit if trailers else ""
    secrets = resolve_secrets(workspace.configuration, names, workspace.repository, commit)
    for name, problem in secrets.problems.items():
        reporter.warn(f"the secret `{name}` can't be handed out: {problem}")
    yield from roll_out(
        workspace, branch, revert.head, affected, secrets=secrets.values, reporter=reporter, all_workers=False
    )


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
