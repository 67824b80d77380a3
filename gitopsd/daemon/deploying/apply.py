"""Apply: commit what was rendered, converge the workers, record what became of it."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Protocol

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.convergence.attempts import attempts_of, remembering
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.deploying.auto_revert import Reporter as RevertReporter
from gitopsd.daemon.deploying.auto_revert import auto_revert
from gitopsd.daemon.deploying.committing import Applied, PlanReporter, commit_version
from gitopsd.daemon.holds.asked import BY_A_PERSON, Asked
from gitopsd.daemon.rollout.deployed_values import deployed_values
from gitopsd.daemon.rollout.drained import record_drained
from gitopsd.daemon.rollout.rollout import roll_out
from gitopsd.daemon.workers.letting_go import let_go_of_those_that_left
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.plan import Plan
from gitopsd.model.secret import SecretValue
from gitopsd.repo.artifacts import ArtifactHead, read_head
from gitopsd.repo.lock import host_lock
from gitopsd.repo.source import SourceTree

_LOCK_SECONDS = 300.0
"""More than a rollout needs to see that a newer deployment is there, and to let go of the worker that it is at."""


class Reporter(PlanReporter, RevertReporter, Protocol):
    """Is told what an apply comes to before it goes on."""

    def committed(self, applied: Applied) -> None:
        """Before any worker is touched; a second time for the version, where an upgrade of gitopsd came first."""
        ...


def apply_version(
    workspace: Workspace,
    read_source: Callable[[], SourceTree],
    *,
    named: bool,
    expected: Plan | None,
    reporter: Reporter,
    asked: Asked = BY_A_PERSON,
) -> Iterator[WorkerResult]:
    """Commit the version and converge every worker; yields each worker's result as it comes.

    `read_source` reads the version: under the lock, and again whenever another writer came first, so that the newest
    wins; what deploys by itself deploys the version that the environment is held at in its place. `named` says that a
    person asked for this very version: else one that is older than what is deployed, or doesn't follow it, is refused.
    `expected` is a plan that was shown: exactly that is applied, or StalePlanError says which input moved. `asked` says
    who wants it, and in spite of what: HeldError says what holds it.
    Where another version of gitopsd renders what is deployed to something else, that is a deployment of its own which
    is rolled out first; the version follows only where that went well.
    Committing takes no lock but compare-and-swap: a rollout of an older deployment that is under way ends as soon as it
    sees this one, and then the workers are converged on the newest, under the host lock. Workflows that fail in groups
    with `auto_revert` go back to where they went well, and the results of that follow.
    Raises DiagnosticsError, RepositoryError, ControllerError; never for a single worker.
    """
    commit = partial(
        commit_version, workspace, read_source, named=named, expected=expected, asked=asked, reporter=reporter
    )
    applied = commit()
    reporter.committed(applied)
    rollout = yield from _converge(workspace, applied, reporter)
    if not applied.goes_on:
        return
    if rollout.failed or rollout.stopped or rollout.ended_early:
        reporter.note("gitopsd's upgrade did not end well, so no new version is deployed after it")
        return
    applied = commit(upgraded=True)
    reporter.committed(applied)
    yield from _converge(workspace, applied, reporter)


def _converge(workspace: Workspace, applied: Applied, reporter: Reporter) -> Generator[WorkerResult, None, Rollout]:
    environment = applied.branch.environment
    with host_lock(workspace.identity, environment, deadline=_LOCK_SECONDS, on_wait=reporter.note):
        head, secrets = _newest(workspace, applied, reporter)
        workers = desired_releases(workspace.repository, head.commit.tree)
        results: list[WorkerResult] = []
        rolling = roll_out(workspace, applied.branch, head, workers, secrets=secrets, reporter=reporter)
        run = remembering(attempts_of(workspace, applied.branch), number_of(head), workers, rolling)
        try:
            rollout = yield from _noting(run, results)
        finally:  # also when it is interrupted: what was seen by then counts
            record_drained(workspace, applied.branch, head, results, reporter)
            let_go_of_those_that_left(workspace, applied.branch, head, results, reporter)
        yield from auto_revert(workspace, applied.branch, head, rollout, reporter=reporter)
    return rollout


def _noting(
    run: Generator[WorkerResult, None, Rollout], results: list[WorkerResult]
) -> Generator[WorkerResult, None, Rollout]:
    """The run, each of its results noted as it comes."""
    with closing(run):
        while True:
            try:
                result = next(run)
            except StopIteration as ended:
                rollout: Rollout = ended.value
                return rollout
            results.append(result)
            yield result


def _newest(
    workspace: Workspace, applied: Applied, reporter: Reporter
) -> tuple[ArtifactHead, Mapping[str, SecretValue]]:
    """The head as it is once the lock is ours, which others may have moved meanwhile, and the values it asks for."""
    head = read_head(workspace.repository, applied.branch)
    if head is None or head.commit.id == applied.head.commit.id:
        return applied.head, applied.secrets
    number = number_of(head)
    if number <= applied.deployment:  # records alone: a cordon, say
        return head, applied.secrets
    reporter.note(f"deployment {number} was committed meanwhile: the workers are converged on that one")
    return head, deployed_values(workspace, head, desired_releases(workspace.repository, head.commit.tree), reporter)
