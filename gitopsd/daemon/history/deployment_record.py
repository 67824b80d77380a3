"""Deployments as the artifact branch records them: who, what, when and why, what came of each, and what it changed."""

from collections.abc import Iterator

from msgspec import Struct

from gitopsd.daemon.artifacts.state import CommittedReleases, read_fleet
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.history.brought import Brought, brought_by
from gitopsd.daemon.history.rollout_note import Reverted, Reviewed, RolloutRecord, read_rollouts
from gitopsd.daemon.planning.deployed import Deployed
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.plan import JobChange, Returns
from gitopsd.planner.plan.between import Committed, changes_between
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, deployments, find_deployment
from gitopsd.repo.repository import Repository


class DeploymentRecord(Struct, frozen=True, kw_only=True):
    """One deployment; `time` is ISO 8601 in UTC. `rollouts` are its runs over the fleet, oldest first.

    `author` wrote the version, `committer` deployed it. `returns` are the deployments that had the same before, and
    `brings` the commits of the source branch that it was the first to have. `reverted`: workflow -> what an automatic
    revert did about it. `reviewed`: whether it did what the pull request that it came from showed.
    """

    deployment: int
    commit: str
    source_commit: str
    environment: str
    trigger: str
    time: str
    author: str
    committer: str
    subject: str
    plan_digest: str
    renderer: str
    returns: Returns
    brings: Brought
    rollouts: tuple[RolloutRecord, ...]
    reverted: dict[str, Reverted]
    reviewed: Reviewed | None = None


class DeploymentChanges(Struct, frozen=True, kw_only=True):
    """What changed from one deployment to another. `before` is 0 where there was none."""

    before: int
    after: int
    changed_workers: tuple[str, ...]
    changes: tuple[JobChange, ...]


def read_records(workspace: Workspace, deployed: Deployed) -> Iterator[DeploymentRecord]:
    """All deployments, newest first."""
    if deployed.head is not None:
        for commit in deployments(workspace.repository, deployed.head.commit.id):
            yield read_record(workspace.repository, deployed.branch, commit)


def read_record(repository: Repository, branch: ArtifactBranch, commit: ArtifactCommit) -> DeploymentRecord:
    """`commit` is a deployment."""
    trailers = commit.trailers
    if trailers is None:
        raise ValueError(f"{commit.id} is no deployment")
    note = read_rollouts(repository, branch, commit)
    return DeploymentRecord(
        deployment=trailers.deployment,
        commit=commit.id,
        source_commit=trailers.source_commit,
        environment=trailers.environment,
        trigger=trailers.trigger,
        time=commit.time.isoformat(timespec="seconds"),
        author=commit.author,
        committer=commit.committer,
        subject=commit.subject.removeprefix(f"Deployment {trailers.deployment}: "),
        plan_digest=trailers.plan_digest,
        renderer=trailers.renderer,
        returns=trailers.returns,
        brings=note.brings or brought_by(repository, commit),
        rollouts=note.rollouts,
        reverted=note.reverted,
        reviewed=note.reviewed,
    )


def find(workspace: Workspace, deployed: Deployed, name: str) -> ArtifactCommit:
    """The deployment of that number or commit prefix. Raises ControllerError, UnknownDeploymentError."""
    if deployed.head is None:
        raise ControllerError(f"nothing is deployed to {deployed.branch.environment} yet", "`gitopsd apply` deploys")
    return find_deployment(workspace.repository, deployed.head.commit.id, name)


def changes_of(repository: Repository, before: ArtifactCommit | None, after: ArtifactCommit) -> DeploymentChanges:
    """Raises RepositoryError."""
    changed, changes = changes_between(_committed(repository, before), _committed(repository, after))
    return DeploymentChanges(before=_number(before), after=_number(after), changed_workers=changed, changes=changes)


def deployment_before(repository: Repository, commit: ArtifactCommit) -> ArtifactCommit | None:
    """The deployment before this one; None for the first."""
    return next(deployments(repository, commit.parent), None) if commit.parent else None


def _committed(repository: Repository, commit: ArtifactCommit | None) -> Committed:
    tree = commit.tree if commit else None
    fleet = read_fleet(repository, tree) if tree else {}
    return Committed(releases=CommittedReleases(repository=repository, tree=tree), fleet=fleet)


def _number(commit: ArtifactCommit | None) -> int:
    return commit.trailers.deployment if commit and commit.trailers else 0
