"""A rollback as a pull request, where policy wants people to see it first."""

from contextlib import closing

from msgspec import UnsetType

from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.pull_requests.forge_access import open_forge
from gitopsd.daemon.reverting.rollback import Rollback
from gitopsd.daemon.workspace import Workspace
from gitopsd.forge.errors import ForgeError
from gitopsd.forge.forge import Forge, PullRequest
from gitopsd.repo.artifacts import read_artifact_commit
from gitopsd.repo.commit_source import commit_tree
from gitopsd.repo.refs import RefUpdate, update_ref
from gitopsd.repo.remote import list_remote, push


def propose(workspace: Workspace, rollback: Rollback) -> PullRequest:
    """Opens a pull request with the commit, on a branch of its own; doing it twice comes to the same one.

    Raises ControllerError where the forge doesn't do it, RepositoryError.
    """
    settings = workspace.configuration.forge
    if isinstance(settings, UnsetType):
        raise ControllerError("policy wants a pull request, and no `forge` is configured", "add `forge`")
    with closing(open_forge(settings)) as forge:
        try:
            return _propose(workspace, rollback, forge)
        except ForgeError as error:
            raise ControllerError(f"no pull request was opened: {error.message}", error.hint) from None


def _propose(workspace: Workspace, rollback: Rollback, forge: Forge) -> PullRequest:
    environment = rollback.planned.plan.inputs.environment
    tree = commit_tree(workspace.repository, rollback.commit)
    branch = f"gitopsd/return-to-{rollback.deployment}-{environment}-{tree[:8]}"
    is_open = forge.open_pull_requests()
    there = next((one for one in is_open if one.head_ref == branch and not one.from_fork), None)
    if there is not None:
        return there
    _write_branch(workspace, rollback, f"refs/heads/{branch}")
    title = read_artifact_commit(workspace.repository, rollback.commit).subject
    body = f"`gitopsd rollback`: {environment} returns to deployment {rollback.deployment} once this is merged."
    return forge.open_pull_request(branch, rollback.branch.name, title, body)


def _write_branch(workspace: Workspace, rollback: Rollback, ref: str) -> None:
    """One that is there was left by an attempt that came to no pull request: by its name it has the same files."""
    repository, remote = workspace.repository, workspace.remote
    update = RefUpdate(ref=ref, new=rollback.commit, old=None)
    if remote is None:
        if repository.ref(ref) is None:
            update_ref(repository, update, reason=f"gitopsd: return to deployment {rollback.deployment}")
    elif ref not in list_remote(repository, remote, [ref]):
        push(repository, remote, [update])
