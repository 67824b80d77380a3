"""Reconcile: whatever differs from the head of the artifact branch is put right, whether or not the source compiles."""

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from gitopsd.daemon.control import refuse_paused
from gitopsd.daemon.converge import WorkerResult
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning import branch_of
from gitopsd.daemon.releases import desired_releases
from gitopsd.daemon.rollout import RolloutReporter, compare_all, roll_out
from gitopsd.daemon.secrets.deployed import deployed_values
from gitopsd.daemon.status import Deployed, open_deployed
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.names import did_you_mean
from gitopsd.model.release import DesiredRelease
from gitopsd.repo.artifacts import ArtifactHead
from gitopsd.repo.lock import host_lock


class Reporter(RolloutReporter, Protocol):
    """Is told what a reconcile comes to as it goes on."""

    def begun(self, deployed: Deployed) -> None:
        """Before any worker is reached."""
        ...


def reconcile(workspace: Workspace, names: Collection[str], *, reporter: Reporter) -> Iterator[WorkerResult]:
    """The named workers, or all, made equal to the head; each worker's result as it comes.

    Raises DiagnosticsError where gitopsd.yaml doesn't say which branch that is, RepositoryError, ControllerError;
    never for a single worker.
    """
    with host_lock(workspace.identity, branch_of(workspace, workspace.source()).environment):
        deployed, head, desired = _desired(workspace, names)
        refuse_paused(workspace.repository, deployed.branch.environment, head)
        reporter.begun(deployed)
        secrets = deployed_values(workspace, head, desired, reporter)
        yield from roll_out(
            workspace, deployed.branch, head, desired, secrets=secrets, reporter=reporter, all_workers=not names
        )


def find_differences_of(workspace: Workspace, names: Collection[str], *, reporter: Reporter) -> Iterator[WorkerResult]:
    """What `reconcile` would find, touching no worker and waiting for nobody. Raises as it does."""
    deployed, head, desired = _desired(workspace, names)
    reporter.begun(deployed)
    secrets = deployed_values(workspace, head, desired, reporter)
    yield from compare_all(workspace, deployed.branch, head, desired, secrets)


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
