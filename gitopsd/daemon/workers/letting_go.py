"""What a run over workers tells about those that left the fleet: once seen empty they are dropped from the record."""

from collections.abc import Sequence
from typing import Protocol

from gitopsd.daemon.convergence.attempts import answered
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.workers.leaving import copies_that_stay, drop_seen_empty
from gitopsd.daemon.workers.lost import note_returned
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.errors import RepositoryError


class Reporter(Protocol):
    """Is told who was let go of."""

    def note(self, message: str) -> None:
        """Something that was done, in a sentence."""
        ...

    def warn(self, message: str) -> None: ...


def let_go_of_those_that_left(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    results: Sequence[WorkerResult],
    reporter: Reporter,
) -> None:
    """Those that were given up as lost and answered are recorded as back, too. Raises nothing: what fails is told."""
    try:
        for name in note_returned(workspace, branch, [result.worker for result in results if answered(result)]):
            reporter.note(f"{name} was given up as lost and is back; what was moved away stays where it is")
    except RepositoryError as error:
        reporter.warn(f"that lost workers are back could not be recorded, so the next apply does: {error.message}")
    drop_those_that_left(workspace, branch, head, results, reporter)


def drop_those_that_left(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    results: Sequence[WorkerResult],
    reporter: Reporter,
) -> None:
    """Raises nothing: what fails is told."""
    seen = {result.worker for result in results if result.state in {"in-sync", "converged"}}
    copies = copies_that_stay(workspace, branch, head, seen)
    for name, names in sorted(copies.items()):
        if names:
            told = f"there are unmanaged copies on it, {', '.join(names)}, which `gitopsd job remove` removes"
            reporter.warn(f"{name} left the fleet and stays on record: {told}")
    try:
        for name in drop_seen_empty(workspace, branch, head, seen - copies.keys()):
            reporter.note(f"{name} left the fleet: nothing runs there any more, and it is not recorded from now on")
    except RepositoryError as error:
        reporter.warn(f"that workers left could not be recorded, so the next run does: {error.message}")
