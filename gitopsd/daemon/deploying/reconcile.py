"""Reconcile: whatever differs from the head of the artifact branch is put right, whether or not the source compiles."""

from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.convergence.attempts import (
    Attempts,
    Remembered,
    after_attempt,
    answered,
    attempts_of,
    remembering,
    was_silent,
)
from gitopsd.daemon.convergence.left_out import TriedInVain, in_backoff
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.deploying.auto_revert import Reporter as RevertReporter
from gitopsd.daemon.deploying.auto_revert import auto_revert
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.holds import refuse_paused
from gitopsd.daemon.planning.deployed import Deployed, open_deployed
from gitopsd.daemon.planning.plan import deployed_branch
from gitopsd.daemon.rollout.deployed_values import deployed_values
from gitopsd.daemon.rollout.drained import record_drained
from gitopsd.daemon.rollout.rollout import compare_all, roll_out
from gitopsd.daemon.workers.letting_go import drop_those_that_left
from gitopsd.daemon.workers.lost import lost_workers
from gitopsd.daemon.workers.moving_lost import LostReporter, give_up_lost, record_returned, tell_lost
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.names import did_you_mean
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.backoff import Trouble, Version
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.lock import host_lock

_NOBODY: Mapping[str, Trouble] = MappingProxyType({})
_LOCK_SECONDS = 10.0


class Reporter(RevertReporter, LostReporter, Protocol):
    """Is told what a reconcile comes to as it goes on."""

    def begun(self, deployed: Deployed) -> None:
        """Before any worker is reached."""
        ...

    def left_out(self, worker: TriedInVain) -> None:
        """It isn't tried now, since it was in vain a short while ago; in a dry run it is looked at all the same."""
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
    workspace: Workspace,
    names: Collection[str],
    *,
    reporter: Reporter,
    at_once: bool = False,
    deadline: float = _LOCK_SECONDS,
) -> Iterator[WorkerResult]:
    """The named workers, or all, made equal to the head; each worker's result as it comes.

    `deadline`: how many seconds another gitopsd on this machine is waited for.
    Of all workers those that were tried in vain a short while ago are left out, unless `at_once`; and those that stay
    silent for as long as their group allows are given up as lost: then the workers that their jobs move to come a
    second time. Workflows that a new version made fail in groups with `auto_revert` go back as after an `apply`, and
    workers that left the fleet are dropped from the record once they were seen empty.
    Raises DiagnosticsError where gitopsd.yaml doesn't say which branch that is, RepositoryError, ControllerError;
    never for a single worker.
    """
    with host_lock(
        workspace.identity, deployed_branch(workspace).environment, deadline=deadline, on_wait=reporter.note
    ):
        deployed, head, desired = _desired(workspace, names)
        refuse_paused(workspace, head, deployed.branch.environment)
        reporter.begun(deployed)
        attempts = attempts_of(workspace, deployed.branch)
        if not names:
            attempts.keep_only(desired)
        left_out = {} if names or at_once else _left_out(workspace, head, desired, attempts)
        for waiting in left_out.values():
            reporter.left_out(waiting)
        heard = _Heard()
        rollout = yield from _roll_out(
            workspace,
            deployed.branch,
            head,
            desired,
            attempts=attempts,
            reporter=reporter,
            all_workers=not names,
            left_out={name: waiting.trouble for name, waiting in left_out.items()},
        )
        for result in rollout.results:
            heard.note(result)
        record_returned(workspace, deployed.branch, heard.seen, reporter)
        record_drained(workspace, deployed.branch, head, rollout.results, reporter)
        drop_those_that_left(workspace, deployed.branch, head, rollout.results, reporter)
        if not names and rollout.to_revert:
            yield from auto_revert(workspace, deployed.branch, head, rollout, reporter=reporter)
        elif not names and not rollout.ended_early:
            found = give_up_lost(workspace, deployed.branch, attempts.known(), heard.silent, reporter)
            if found is not None and found.changed_workers:
                releases = desired_releases(workspace.repository, found.head.commit.tree)
                moved_to = {name: release for name, release in releases.items() if name in found.changed_workers}
                yield from _roll_out(
                    workspace, deployed.branch, found.head, moved_to, attempts=attempts, reporter=reporter
                )
        if attempts.problem:
            reporter.warn(attempts.problem)


def find_differences_of(workspace: Workspace, names: Collection[str], *, reporter: Reporter) -> Iterator[WorkerResult]:
    """What `reconcile` would find, touching no worker and waiting for nobody. Raises as it does.

    Of that only the differences are remembered. What it would do about workers that are lost is told as well.
    """
    deployed, head, desired = _desired(workspace, names)
    reporter.begun(deployed)
    attempts = attempts_of(workspace, deployed.branch)
    for waiting in () if names else _left_out(workspace, head, desired, attempts).values():
        reporter.left_out(waiting)
    secrets = deployed_values(workspace, head, desired, reporter)
    known, heard = attempts.known(), _Heard()
    found: dict[str, WorkerResult] = {}
    for result in compare_all(workspace, deployed.branch, head, desired, secrets):
        version = Version(number_of(head), desired[result.worker].id)
        before = known.get(result.worker, Remembered())
        known[result.worker] = after_attempt(before, result, version, now=attempts.now(), draw=lambda: 0.0)
        heard.note(result)
        found[result.worker] = result
        yield result
    attempts.record_drift(found)
    if not names:
        tell_lost(workspace, deployed.branch, head, known, silent=heard.silent, seen=heard.seen, reporter=reporter)


def _left_out(
    workspace: Workspace, head: ArtifactHead, desired: Mapping[str, DesiredRelease], attempts: Attempts
) -> Mapping[str, TriedInVain]:
    fleet = read_fleet(workspace.repository, head.commit.tree)
    lost = lost_workers(workspace.repository, head)
    known = attempts.known()
    return in_backoff(desired, number_of(head), known, fleet=fleet, lost=lost, now=attempts.now())


def _roll_out(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    desired: Mapping[str, DesiredRelease],
    *,
    attempts: Attempts,
    reporter: Reporter,
    all_workers: bool = False,
    left_out: Mapping[str, Trouble] = _NOBODY,
) -> Generator[WorkerResult, None, Rollout]:
    results = roll_out(
        workspace,
        branch,
        head,
        desired,
        secrets=deployed_values(workspace, head, desired, reporter),
        reporter=reporter,
        all_workers=all_workers,
        left_out=left_out,
    )
    return remembering(attempts, number_of(head), desired, results)


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
