"""Whether a source commit that the artifact branch names is one of ours.

That a commit of the artifact branch is what its source renders to says nothing where anybody could have brought the
source along.
"""

from gitopsd.daemon.secrets.signing import listed_signers
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.errors import GitCommandError, RemoteError, RepositoryError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.remote import fetch
from gitopsd.repo.ssh_signature import NotSigned, verify_commit

_FETCH_SECONDS = 120.0


def why_not_ours(workspace: Workspace, commit: str) -> str:
    """A clause about the commit; empty where it is part of the source branch, and signed where versions must be.

    Without `source_branch` in the configuration any branch or tag counts. A remote is asked where this clone doesn't
    know. Raises RepositoryError for a list of signers that can't be read.
    """
    where = workspace.configuration.source_branch or "any branch"
    if not _is_on_branch(workspace, commit):
        problem = _fetch_branches(workspace)
        if problem:
            return f"is not known here, and {problem}"
        if not _is_on_branch(workspace, commit):
            return f"is not on {where}"
    allowed = listed_signers(workspace.configuration)
    found = None if allowed is None else verify_commit(workspace.repository, commit, allowed)
    return found.why if isinstance(found, NotSigned) else ""


def _is_on_branch(workspace: Workspace, commit: str) -> bool:
    repository, remote, name = workspace.repository, workspace.remote, workspace.configuration.source_branch
    if not repository.has(commit):
        return False
    branches = {f"{repository.branch_prefix}{name}", *([f"refs/remotes/{remote.name}/{name}"] if remote else ())}
    refs = sorted(branches) if name else ["refs/heads", "refs/remotes", "refs/tags"]
    arguments = ["for-each-ref", f"--contains={commit}", "--count=1", "--format=%(refname)", *refs]
    try:
        return bool(run_git(arguments, git_dir=repository.git_dir).stdout.strip())
    except GitCommandError as error:
        raise RepositoryError(f"the branches can't be listed: {error.stderr.strip()}", "run `git fsck`") from error


def _fetch_branches(workspace: Workspace) -> str:
    """Why what the remote has can't be known; empty where it is fetched, or there is no remote."""
    remote, name = workspace.remote, workspace.configuration.source_branch or "*"
    if remote is None:
        return ""
    refspec = f"+refs/heads/{name}:refs/remotes/{remote.name}/{name}"
    try:
        fetch(workspace.repository, remote, [refspec], deadline=_FETCH_SECONDS)
    except RemoteError as error:
        return error.message
    return ""
