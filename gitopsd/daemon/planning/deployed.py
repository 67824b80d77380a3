"""What is deployed, opened to be looked at: whether the source compiles doesn't matter."""

from dataclasses import dataclass

from gitopsd.daemon.planning.plan import deployed_branch
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.publish import fetch_artifacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """An environment's artifact branch; `head` is None before the first deployment."""

    branch: ArtifactBranch
    head: ArtifactHead | None


def open_deployed(workspace: Workspace) -> Deployed:
    """The artifact branch of the chosen environment, brought up to date with its remote.

    Whether the source compiles doesn't matter: what is deployed can be looked at all the same. Raises
    DiagnosticsError where gitopsd.yaml doesn't say which branch that is.
    """
    branch = deployed_branch(workspace)
    fetch_artifacts(workspace.repository, branch, workspace.remote)
    return Deployed(branch=branch, head=read_head(workspace.repository, branch))
