"""Reconcile: whatever differs from the head of the artifact branch is put right, whether or not the source compiles."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gitopsd.daemon.artifact_state import read_fleet
from gitopsd.daemon.attempts import Attempts, Remembered, after_attempt, answered, attempts_of, remembering, was_silent
from gitopsd.daemon.control import refuse_paused
from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.left_out import TriedInVain, in_backoff
from gitopsd.daemon.lost import (
    GivenUp,
    deployment_number,
    describe,
    find_lost,
    give_up,
    lost_worker,
    lost_workers,
    note_returned,
    plan_without,
)
from gitopsd.daemon.planning import branch_of
from gitopsd.daemon.releases import desired_releases
from gitopsd.daemon.rollout import RolloutReporter, compare_all, roll_out
from gitopsd.daemon.secrets.handover import secret_names
from gitopsd.daemon.secrets.resolve import resolve_secrets
from gitopsd.daemon.status import Deployed, open_deployed
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import LostWorker
from gitopsd.model.diagnostic import Severity
from gitopsd.model.names import did_you_mean
from gitopsd.model.release import DesiredRelease
from gitopsd.model.secret import SecretValue
from gitopsd.planner.backoff import Version
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.lock import host_lock
from gitopsd.repo.repository import Repository


class Reporter(RolloutReporter, Protocol):
    """Is told what a reconcile comes to as it goes on."""

    def begun(self, deployed: Deployed) -> None:
        """Before any worker is reached."""
        ...

    def left_out(self, worker: TriedInVain) -> None:
        """It isn't tried now, since it was in vain a short while ago; in a dry run it is looked at all the same."""
        ...

    def returned(self, workers: Collection[str]) -> None:
        """Workers that were lost answered again."""
        ...

    def given_up(self, found: GivenUp) -> None:
        """Workers are lost, and what ran there moves; before that reaches any worker."""
        ...

    def not_given_up(self, worker: str, reason: str) -> None:
        """Its time is over, and yet nothing of it moves."""
        ...


@dataclass(slots=True)
class _Heard:
    """Which workers answered in this run, and which were silent."""

    seen: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)

    def note(self, result: WorkerResult) -> None:
        if answered(result):
            self.seen.add(result.worker)
        if was_silent(result):
            self.silent.add(result.worker)


def reconcile(
    workspace: Workspace, names: Collection[str], *, reporter: Reporter, at_once: bool = False
) -> Iterator[WorkerResult]:
    """The named workers, or all, made equal to the head; each worker's result as it comes.

    Of all workers those that were tried in vain a short while ago are left out, unless `at_once`; and those that stay
    silent for as long as their group allows are given up as lost: then the workers that their jobs move to come a
    second time.
    Raises DiagnosticsError where gitopsd.yaml doesn't say which branch that is, RepositoryError, ControllerError;
    never for a single worker.
    """
    with host_lock(workspace.identity, branch_of(workspace, workspace.source()).environment):
        deployed, head, desired = _desired(workspace, names)
        refuse_paused(workspace.repository, deployed.branch.environment, head)
        reporter.begun(deployed)
        attempts = attempts_of(workspace, deployed.branch)
        left_out = {} if names or at_once else _left_out(workspace, head, desired, attempts)
        for waiting in left_out.values():
            reporter.left_out(waiting)
        chosen = {name: release for name, release in desired.items() if name not in left_out}
        heard = _Heard()
        all_workers = not names and not left_out
        for result in _roll_out(
            workspace, deployed.branch, head, chosen, attempts=attempts, reporter=reporter, all_workers=all_workers
        ):
            heard.note(result)
            yield result
        _note_returned(workspace, deployed.branch, heard.seen, reporter)
        if not names:
            yield from _move_lost(workspace, deployed.branch, heard.silent, attempts=attempts, reporter=reporter)
        if attempts.problem:
            reporter.warn(attempts.problem)


def find_differences_of(workspace: Workspace, names: Collection[str], *, reporter: Reporter) -> Iterator[WorkerResult]:
    """What `reconcile` would find, touching no worker and waiting for nobody. Raises as it does.

    Nothing is remembered of it. What it would do about workers that are lost is told as well.
    """
    deployed, head, desired = _desired(workspace, names)
    reporter.begun(deployed)
    attempts = attempts_of(workspace, deployed.branch)
    for waiting in () if names else _left_out(workspace, head, desired, attempts).values():
        reporter.left_out(waiting)
    secrets = _secrets(workspace, head, desired, reporter)
    known, heard = attempts.known(), _Heard()
    for result in compare_all(workspace, deployed.branch, head, desired, secrets):
        version = Version(deployment_number(head), desired[result.worker].id)
        before = known.get(result.worker, Remembered())
        known[result.worker] = after_attempt(before, result, version, now=attempts.now(), draw=lambda: 0.0)
        heard.note(result)
        yield result
    returned = lost_workers(workspace.repository, head).keys() & heard.seen
    if returned:
        reporter.returned(sorted(returned))
    lost = {} if names else _lost_now(workspace.repository, head, known, heard.silent, reporter)
    if lost:
        branch = deployed.branch
        found = _unless_prevented(
            lost, reporter, lambda: describe(plan_without(workspace, branch, head, lost), head, lost)
        )
        if found is not None:
            reporter.given_up(found)


def _left_out(
    workspace: Workspace, head: ArtifactHead, desired: Mapping[str, DesiredRelease], attempts: Attempts
) -> Mapping[str, TriedInVain]:
    fleet = read_fleet(workspace.repository, head.commit.tree)
    lost = lost_workers(workspace.repository, head)
    known = attempts.known()
    return in_backoff(desired, deployment_number(head), known, fleet=fleet, lost=lost, now=attempts.now())


def _roll_out(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    *,
    attempts: Attempts,
    reporter: Reporter,
    all_workers: bool,
) -> Iterator[WorkerResult]:
    secrets = _secrets(workspace, head, desired, reporter)
    results = roll_out(workspace, branch, head, desired, secrets=secrets, reporter=reporter, all_workers=all_workers)
    return remembering(attempts, deployment_number(head), desired, results)


def _move_lost(
    workspace: Workspace,
    branch: ArtifactBranch,
    silent: Collection[str],
    *,
    attempts: Attempts,
    reporter: Reporter,
) -> Iterator[WorkerResult]:
    """What ran on workers that are lost by now comes to others, if it may; a failure of that is told, and no more."""
    head = read_head(workspace.repository, branch)
    lost = {} if head is None else _lost_now(workspace.repository, head, attempts.known(), silent, reporter)
    if not lost:
        return
    found = _unless_prevented(lost, reporter, lambda: give_up(workspace, branch, lost))
    if found is None:
        return
    reporter.given_up(found)
    desired = desired_releases(workspace.repository, found.head.commit.tree)
    chosen = {name: release for name, release in desired.items() if name in found.changed_workers}
    if chosen:
        yield from _roll_out(
            workspace, branch, found.head, chosen, attempts=attempts, reporter=reporter, all_workers=False
        )


def _lost_now(
    repository: Repository,
    head: ArtifactHead,
    known: Mapping[str, Remembered],
    silent: Collection[str],
    reporter: Reporter,
) -> Mapping[str, LostWorker]:
    """Those whose time is over and that nothing keeps."""
    lost: dict[str, LostWorker] = {}
    for verdict in find_lost(repository, head, known, silent):
        if verdict.kept_because:
            reporter.not_given_up(verdict.worker, verdict.kept_because)
        else:
            lost[verdict.worker] = lost_worker(verdict, known[verdict.worker].seen)
    return lost


def _unless_prevented(lost: Collection[str], reporter: Reporter, find: Callable[[], GivenUp]) -> GivenUp | None:
    """What keeps the lost workers' jobs from being moved is told, and keeps nobody else from being put right."""
    try:
        return find()
    except DiagnosticsError as error:
        reason = "; ".join(one.message for one in error.diagnostics if one.severity is Severity.ERROR)
    except (ControllerError, RepositoryError) as error:
        reason = error.message + (f" ({error.hint})" if error.hint else "")
    for name in sorted(lost):
        reporter.not_given_up(name, reason)
    return None


def _note_returned(workspace: Workspace, branch: ArtifactBranch, seen: Collection[str], reporter: Reporter) -> None:
    try:
        returned = note_returned(workspace, branch, seen)
    except RepositoryError as error:
        reporter.warn(f"that lost workers are back could not be recorded, so the next run does: {error.message}")
    else:
        if returned:
            reporter.returned(returned)


def _secrets(
    workspace: Workspace, head: ArtifactHead, desired: Mapping[str, DesiredRelease], reporter: Reporter
) -> Mapping[str, SecretValue]:
    """Those that can be had, from where the deployed version has them; the others are told, and fail their workers."""
    names = {name for release in desired.values() for name in secret_names(release)}
    trailers = head.deployment.trailers if head.deployment else None
    commit = trailers.source_commit if trailers else ""
    resolved = resolve_secrets(workspace.configuration, names, workspace.repository, commit)
    for name, problem in resolved.problems.items():
        reporter.warn(f"the secret `{name}` can't be compared or handed out: {problem}")
    return resolved.values


def _desired(
    workspace: Workspace, names: Collection[str]
) -> tuple[Deployed, ArtifactHead, Mapping[str, DesiredRelease]]:
    deployed = open_deployed(workspace)
    if deployed.head is None:
        raise ControllerError(
            f"nothing is deployed to {deployed.branch.environment} yet, so there is nothing to compare with",
            "`gitopsd apply` deploys",
        )
    desired = desired_releases(workspace.repository, deployed.head.commit.tree)
    for name in names:
        if name not in desired:
            raise ControllerError(
                f"nothing is deployed to a worker `{name}`",
                did_you_mean(name, desired) or "`gitopsd status` shows those that something is deployed to",
            )
    return deployed, deployed.head, {name: desired[name] for name in names} if names else desired
