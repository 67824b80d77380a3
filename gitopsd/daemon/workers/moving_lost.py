"""What a run over all workers does about those that stay silent, and about lost ones that are back."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from gitopsd.daemon.convergence.attempts import Remembered
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.workers.lost import (
    GivenUp,
    describe,
    find_lost,
    give_up,
    lost_worker,
    lost_workers,
    note_returned,
    plan_without,
)
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import LostWorker
from gitopsd.model.diagnostic import Severity
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository


class LostReporter(Protocol):
    """Is told which workers are lost, and which are not."""

    def returned(self, workers: Collection[str]) -> None:
        """Workers that were lost answered again."""
        ...

    def given_up(self, found: GivenUp) -> None:
        """Workers are lost, and what ran there moves; before that reaches any worker."""
        ...

    def not_given_up(self, worker: str, reason: str) -> None:
        """Its time is over, and yet nothing of it moves."""
        ...

    def warn(self, message: str) -> None: ...


def record_returned(
    workspace: Workspace, branch: ArtifactBranch, seen: Collection[str], reporter: LostReporter
) -> None:
    """Commits that those of the lost workers that were seen are back; what keeps it from that is told."""
    try:
        returned = note_returned(workspace, branch, seen)
    except RepositoryError as error:
        reporter.warn(f"that lost workers are back could not be recorded, so the next run does: {error.message}")
    else:
        if returned:
            reporter.returned(returned)


def give_up_lost(
    workspace: Workspace,
    branch: ArtifactBranch,
    known: Mapping[str, Remembered],
    silent: Collection[str],
    reporter: LostReporter,
) -> GivenUp | None:
    """Commits who is lost by now, of those that were `silent` in this run, and what follows.

    None where nobody is, or where something keeps their jobs from being moved: that is told, and raises nothing.
    """
    head = read_head(workspace.repository, branch)
    lost = {} if head is None else _lost_now(workspace.repository, head, known, silent, reporter)
    found = _unless_prevented(lost, lambda: give_up(workspace, branch, lost), reporter) if lost else None
    if found is not None:
        reporter.given_up(found)
    return found


def tell_lost(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    known: Mapping[str, Remembered],
    *,
    silent: Collection[str],
    seen: Collection[str],
    reporter: LostReporter,
) -> None:
    """What the other two would do, doing nothing."""
    returned = lost_workers(workspace.repository, head).keys() & set(seen)
    if returned:
        reporter.returned(sorted(returned))
    lost = _lost_now(workspace.repository, head, known, silent, reporter)
    if not lost:
        return
    found = _unless_prevented(lost, lambda: describe(plan_without(workspace, branch, head, lost), head, lost), reporter)
    if found is not None:
        reporter.given_up(found)


def _lost_now(
    repository: Repository,
    head: ArtifactHead,
    known: Mapping[str, Remembered],
    silent: Collection[str],
    reporter: LostReporter,
) -> Mapping[str, LostWorker]:
    """Those whose time is over and that nothing keeps."""
    lost: dict[str, LostWorker] = {}
    for verdict in find_lost(repository, head, known, silent):
        if verdict.kept_because:
            reporter.not_given_up(verdict.worker, verdict.kept_because)
        else:
            lost[verdict.worker] = lost_worker(verdict, known[verdict.worker].seen)
    return lost


def _unless_prevented(lost: Collection[str], find: Callable[[], GivenUp], reporter: LostReporter) -> GivenUp | None:
    try:
        return find()
    except DiagnosticsError as error:
        reason = "; ".join(one.message for one in error.diagnostics if one.severity is Severity.ERROR)
    except (ControllerError, RepositoryError) as error:
        reason = error.message + (f" ({error.hint})" if error.hint else "")
    for name in sorted(lost):
        reporter.not_given_up(name, reason)
    return None
