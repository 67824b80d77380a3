"""Apply and reconcile where a controller leads: it converges the workers, and this process tells how that goes."""

from collections.abc import Callable, Collection, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.control_socket.client import ask
from gitopsd.daemon.controller.control_socket.protocol import Converge, Leader
from gitopsd.daemon.convergence.left_out import TriedInVain
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.deploying.auto_revert import Reporter as RevertReporter
from gitopsd.daemon.deploying.committing import Applied, PlanReporter, commit_version
from gitopsd.daemon.deploying.reconcile import Reporter as ReconcileReporter
from gitopsd.daemon.holds.asked import BY_A_PERSON, Asked
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.reverting.revert_commit import Revert
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.plan import Plan
from gitopsd.repo.artifacts import ArtifactBranch, read_head
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.source import SourceTree

_CONVERGE_SECONDS = 24 * 3600.0
"""Rollouts may take long; every silence on the way has a deadline of its own."""


class FollowReporter(RevertReporter, Protocol):
    """Is told what the controller does."""

    def left_out(self, worker: TriedInVain) -> None: ...


class ApplyReporter(FollowReporter, PlanReporter, Protocol):
    """The same, of an apply."""

    def committed(self, applied: Applied) -> None: ...


def apply_through(
    workspace: Workspace,
    read_source: Callable[[], SourceTree],
    *,
    leader: Leader,
    named: bool,
    expected: Plan | None,
    reporter: ApplyReporter,
    asked: Asked = BY_A_PERSON,
) -> Iterator[WorkerResult]:
    """As `apply_version`, but that the leader converges what was committed here. Raises as that does."""
    commit = partial(
        commit_version, workspace, read_source, named=named, expected=expected, asked=asked, reporter=reporter
    )
    applied = commit()
    well = yield from _converge(workspace, leader, applied, reporter)
    if not applied.goes_on:
        return
    if not well:
        reporter.note("gitopsd's upgrade did not end well, so no new version is deployed after it")
        return
    yield from _converge(workspace, leader, commit(upgraded=True), reporter)


def _converge(
    workspace: Workspace, leader: Leader, applied: Applied, reporter: ApplyReporter
) -> Generator[WorkerResult, None, bool]:
    """By the leader; gives whether no worker failed."""
    reporter.committed(applied)
    request = Converge(
        repository=leader.repository, environment=applied.branch.environment, head=applied.head.commit.id
    )
    well = True
    following = _follow(workspace, leader, applied.branch, request, deployment=applied.deployment, reporter=reporter)
    for result in following:
        well = well and result.state not in {"failed", "rolled-back"}
        yield result
    return well


def reconcile_through(
    workspace: Workspace, leader: Leader, names: Collection[str], *, reporter: ReconcileReporter, at_once: bool
) -> Iterator[WorkerResult]:
    """As `reconcile`, by the leader. Raises ControllerError, RepositoryError, DiagnosticsError."""
    deployed = open_deployed(workspace)
    reporter.begun(deployed)
    request = Converge(
        repository=leader.repository,
        environment=deployed.branch.environment,
        head=deployed.head.commit.id if deployed.head else "",
        workers=tuple(names),
        at_once=at_once,
    )
    number = number_of(deployed.head)
    yield from _follow(workspace, leader, deployed.branch, request, deployment=number, reporter=reporter)


def _follow(
    workspace: Workspace,
    leader: Leader,
    branch: ArtifactBranch,
    request: Converge,
    *,
    deployment: int,
    reporter: FollowReporter,
) -> Iterator[WorkerResult]:
    """What is still told of an older deployment's rollout, which ends first, isn't this one's."""
    reporter.note(f"the controller (process {leader.pid}) does it; Ctrl-C ends only this report of it")
    seen: set[str] = set()
    try:
        for event in ask(request, path=Path(leader.socket), deadline=_CONVERGE_SECONDS):
            if getattr(event, "deployment", deployment) < deployment:
                continue
            for result in _told(workspace, branch, event, reporter):
                if result.state != "in-sync" or result.worker not in seen:
                    yield result  # a look that follows adds nothing to what was done
                seen.add(result.worker)
    except KeyboardInterrupt:
        reporter.ended(Rollout(interrupted=True))
        reporter.note("the controller goes on; `gitopsd status` shows how far it is")
        raise


def _told(
    workspace: Workspace, branch: ArtifactBranch, event: events.Event, reporter: FollowReporter
) -> Iterator[WorkerResult]:
    match event:
        case events.RolloutBegan(workers=workers):
            reporter.begins(workers)
        case events.WorkerProgressed(worker=worker, stage=stage, detail=detail):
            reporter.progress(worker, stage, detail)
        case events.WorkerChanging(differences=differences):
            reporter.about_to_change(differences)
        case events.WorkerEnded(result=result):
            yield result
        case events.RolloutEnded(rollout=rollout):
            reporter.ended(rollout)
        case events.Reverted():
            revert = _revert(workspace, branch, event)
            if revert is not None:
                reporter.reverted(revert)
        case events.Said(message=message, level="warning"):
            reporter.warn(message)
        case events.Said(message=message):
            reporter.note(message)
        case events.WorkerLeftOut():
            reporter.left_out(_left_out(event))
        case _:
            return


def _left_out(event: events.WorkerLeftOut) -> TriedInVain:
    return TriedInVain(
        worker=event.worker,
        trouble=event.trouble,
        attempts=event.attempts,
        deployment=event.tried,
        error=event.error,
        last=event.last,
        next=event.next,
    )


def _revert(workspace: Workspace, branch: ArtifactBranch, event: events.Reverted) -> Revert | None:
    """As this process would have made it; None where its commit isn't here, which the next fetch brings."""
    fetch_artifacts(workspace.repository, branch, workspace.remote)
    head = read_head(workspace.repository, branch)
    if head is None:
        return None
    return Revert(failed=event.failed, deployment=event.by, head=head, quarantines=event.quarantines, workers=())
