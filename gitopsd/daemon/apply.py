"""Apply: commit what was rendered, converge the workers, record what became of it."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from gitopsd.compiler.render.release import Rendering
from gitopsd.daemon.artifact_state import CommittedReleases
from gitopsd.daemon.attempts import attempts_of, remembering
from gitopsd.daemon.auto_revert import Reporter as RevertReporter
from gitopsd.daemon.auto_revert import auto_revert
from gitopsd.daemon.control import control_of, expired_parts, refuse_paused, remove_expired
from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.errors import ControllerError, DiagnosticsError, HeldPlanError
from gitopsd.daemon.expected_plan import check_expected
from gitopsd.daemon.letting_go import let_go_of_those_that_left
from gitopsd.daemon.planning import Planned, branch_of, plan_version
from gitopsd.daemon.releases import desired_releases, target_of
from gitopsd.daemon.rollout import roll_out
from gitopsd.daemon.rollout_summary import Rollout
from gitopsd.daemon.runnable import refuse_what_cannot_run
from gitopsd.daemon.secrets.deployed import deployed_values
from gitopsd.daemon.secrets.resolve import require_secrets
from gitopsd.daemon.superseding import number_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.layout import layout_of, layout_problem
from gitopsd.model.plan import Plan
from gitopsd.model.secret import SecretValue
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_artifact_commit, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.lock import host_lock
from gitopsd.repo.publish import publish, write_deployment
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.revision import is_ancestor
from gitopsd.repo.source import SourceTree
from gitopsd.repo.trailers import DeploymentTrailers, records_message

_COMMIT_ATTEMPTS = 5

_LOCK_SECONDS = 300.0
"""More than a rollout needs to see that a newer deployment is there, and to let go of the worker that it is at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was committed (`head` is the artifact branch's head afterwards), before any worker is touched.

    `seconds` says how long planning and committing took. `secrets` are the values of those that its jobs ask for.
    """

    planned: Planned
    branch: ArtifactBranch
    head: ArtifactHead
    committed: bool
    seconds: Mapping[str, float]
    secrets: Mapping[str, SecretValue] = field(default_factory=dict, repr=False)

    @property
    def deployment(self) -> int:
        trailers = self.head.deployment.trailers if self.head.deployment else None
        return trailers.deployment if trailers else 0


class PlanReporter(Protocol):
    """Is told what a version comes to before it is committed."""

    def planned(self, planned: Planned) -> None:
        """Before anything is written; again when another writer came first and the plan is now a different one."""
        ...

    def note(self, message: str) -> None:
        """Something that was done besides, in a sentence."""
        ...


class Reporter(PlanReporter, RevertReporter, Protocol):
    """Is told what an apply comes to before it goes on."""

    def committed(self, applied: Applied) -> None:
        """Before any worker is touched."""
        ...


def apply_version(
    workspace: Workspace,
    read_source: Callable[[], SourceTree],
    *,
    named: bool,
    expected: Plan | None,
    reporter: Reporter,
    confirm_deletes: bool = False,
    despite_pause: bool = False,
) -> Iterator[WorkerResult]:
    """Commit the version and converge every worker; yields each worker's result as it comes.

    `read_source` reads the version: under the lock, and again whenever another writer came first, so that the newest
    wins. `named` says that a person asked for this very version: else one that is older than what is deployed is
    refused. `expected` is a plan that was shown: exactly that is applied, or StalePlanError says which input moved.
    `confirm_deletes` says that a plan which is held for what it deletes is meant, `despite_pause` that a paused
    environment is.
    Committing takes no lock but compare-and-swap: a rollout of an older deployment that is under way ends as soon as it
    sees this one, and then the workers are converged on the newest, under the host lock. Workflows that fail in groups
    with `auto_revert` go back to where they went well, and the results of that follow.
    Raises DiagnosticsError, RepositoryError, ControllerError; never for a single worker.
    """
    environment = branch_of(workspace, read_source()).environment
    applied = commit_version(
        workspace,
        read_source,
        named=named,
        expected=expected,
        confirm_deletes=confirm_deletes,
        despite_pause=despite_pause,
        reporter=reporter,
    )
    reporter.committed(applied)
    with host_lock(workspace.identity, environment, deadline=_LOCK_SECONDS, on_wait=reporter.note):
        head, secrets = _newest(workspace, applied, reporter)
        workers = desired_releases(workspace.repository, head.commit.tree)
        results: list[WorkerResult] = []
        rolling = roll_out(workspace, applied.branch, head, workers, secrets=secrets, reporter=reporter)
        run = remembering(attempts_of(workspace, applied.branch), number_of(head), workers, rolling)
        try:
            rollout = yield from _noting(run, results)
        finally:  # also when it is interrupted: what was seen by then counts
            let_go_of_those_that_left(workspace, applied.branch, head, results, reporter)
        yield from auto_revert(workspace, applied.branch, head, rollout, reporter=reporter)


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


def commit_version(
    workspace: Workspace,
    read_source: Callable[[], SourceTree],
    *,
    named: bool,
    expected: Plan | None = None,
    confirm_deletes: bool = False,
    despite_pause: bool = False,
    reporter: PlanReporter,
) -> Applied:
    """The artifact branch moved to what the plan renders; read and planned again whenever another writer came first.

    No worker is reached. Parameters and errors are those of `apply_version`.
    """
    announced = ""
    for attempt in range(1, _COMMIT_ATTEMPTS + 1):
        started = time.monotonic()
        source = read_source()
        if source.commit is None:
            raise ControllerError("only a commit can be applied", "commit the changes first")
        planned = _plan(workspace, source, reporter, exactly=expected is not None)
        seconds = {"plan": time.monotonic() - started}
        if not despite_pause:
            refuse_paused(workspace.repository, planned.plan.inputs.environment, planned.head)
        if expected is not None:
            check_expected(expected, planned.plan)
        if not named:
            _refuse_older(workspace, source.commit, planned.head)
        if announced != planned.plan.digest:
            reporter.planned(planned)
            announced = planned.plan.digest
        if planned.plan.held and not confirm_deletes:
            raise HeldPlanError(planned.plan.held)
        head = planned.head
        secrets = _secrets(workspace, planned)
        if head is not None and head.commit.tree == planned.plan.tree:
            return Applied(
                planned=planned, branch=planned.branch, head=head, committed=False, seconds=seconds, secrets=secrets
            )
        refuse_what_cannot_run(planned.summaries)
        _check_layouts(planned.rendering)
        started = time.monotonic()
        try:
            commit = _write(workspace, source.commit, planned)
        except RefMovedError:
            if attempt == _COMMIT_ATTEMPTS:
                raise
            continue
        seconds["commit"] = time.monotonic() - started
        head = _head_at(workspace, commit, head)
        return Applied(
            planned=planned, branch=planned.branch, head=head, committed=True, seconds=seconds, secrets=secrets
        )
    raise AssertionError("unreachable")


def _plan(workspace: Workspace, source: SourceTree, reporter: PlanReporter, *, exactly: bool) -> Planned:
    """The plan, once what has expired is out of the way; `exactly` is for a plan that was shown with it still there."""
    if exactly:
        return plan_version(workspace, source)
    try:
        planned = plan_version(workspace, source)
    except DiagnosticsError:
        # the jobs of a worker whose drain is over may have nowhere to go; planning has fetched the branch
        branch = branch_of(workspace, source)
        if not _end_what_expired(workspace, branch, read_head(workspace.repository, branch), reporter):
            raise
        return plan_version(workspace, source)
    if _end_what_expired(workspace, planned.branch, planned.head, reporter):
        return plan_version(workspace, source)
    return planned


def _end_what_expired(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead | None, reporter: PlanReporter
) -> bool:
    if not expired_parts(control_of(workspace.repository, head)):
        return False
    for sentence in remove_expired(workspace, branch):
        reporter.note(f"{sentence}, and counts no more")
    return True


def _secrets(workspace: Workspace, planned: Planned) -> Mapping[str, SecretValue]:
    """Every value that the version's jobs ask for, or an error before anything is committed."""
    commit = planned.plan.inputs.source_commit
    return require_secrets(workspace.configuration, planned.secrets, workspace.repository, commit)


def _check_layouts(rendering: Rendering) -> None:
    """What would keep the built-in worker from being activated is said before anything is committed."""
    for worker in rendering.workers.values():
        if worker.service_manager == "supervisor":
            problem = layout_problem(layout_of(target_of(worker, None, "")))
            if problem:
                raise ControllerError(f"{worker.name}: {problem}", "nothing was committed")


def _refuse_older(workspace: Workspace, commit: str, head: ArtifactHead | None) -> None:
    """A version that others have gone past must be asked for by name: a clone that is behind would roll back."""
    trailers = head.deployment.trailers if head and head.deployment else None
    if trailers is None or trailers.source_commit == commit:
        return
    deployed, number = trailers.source_commit, trailers.deployment
    hint = f"bring this clone up to date, or name the version to go back to: `gitopsd apply {commit[:12]}`"
    if not workspace.repository.has(deployed):
        raise ControllerError(f"deployment {number} came from commit {deployed[:12]}, which is not in this clone", hint)
    if is_ancestor(workspace.repository, commit, deployed):
        raise ControllerError(
            f"deployment {number} came from commit {deployed[:12]}, which is newer than {commit[:12]}", hint
        )


def _head_at(workspace: Workspace, commit: str, before: ArtifactHead | None) -> ArtifactHead:
    """The head that was just written, whatever the branch has become since."""
    written = read_artifact_commit(workspace.repository, commit)
    deployment = written if written.trailers else before.deployment if before else None
    return ArtifactHead(commit=written, deployment=deployment, root_commit=before.root_commit if before else written.id)


def _write(workspace: Workspace, source_commit: str, planned: Planned) -> str:
    """One commit, its id: a numbered deployment where a release changes, else a mere update of records."""
    repository, branch, head = workspace.repository, planned.branch, planned.head
    tree = planned.rendering.tree(CommittedReleases(repository=repository, tree=head.commit.tree) if head else None)
    subject = read_artifact_commit(repository, source_commit).subject
    if planned.plan.is_empty and head is not None:
        message = records_message(subject, source_commit=source_commit, compiled=planned.compiled)
        commit = write_commit(repository, tree, parent=head.commit.id, message=message)
        update = RefUpdate(ref=branch.ref, new=commit, old=head.commit.id)
        publish(repository, [update], workspace.remote, reason="gitopsd: records")
        return commit
    before = head.deployment.trailers.deployment if head and head.deployment and head.deployment.trailers else 0
    trailers = DeploymentTrailers(
        deployment=before + 1,
        source_commit=source_commit,
        environment=planned.plan.inputs.environment,
        trigger="manual",
        plan_digest=planned.plan.digest,
        renderer=planned.plan.inputs.renderer,
        compiled=planned.compiled,
    )
    return write_deployment(
        repository,
        branch,
        workspace.remote,
        tree,
        head=head,
        subject=f"Deployment {before + 1}: {subject}",
        trailers=trailers,
    )
