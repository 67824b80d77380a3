"""Adding a commit to the source branch: in the remote if there is one, here, and in the work tree that shows it."""

from dataclasses import dataclass

from gitopsd.repo.errors import GitCommandError, RepositoryError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.publish import publish
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.remote import Remote, list_remote, push
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import resolve_commit

_CHECKOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBranch:
    """`name` without `refs/heads/`; `commit` is its head, here and in the remote."""

    name: str
    commit: str

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.name}"


def open_source_branch(repository: Repository, remote: Remote | None, name: str) -> SourceBranch:
    """The branch as it is here, if a commit can be added to it.

    Raises RepositoryError where the remote's is at another commit, or its work tree has edits.
    """
    branch = SourceBranch(name=name, commit=resolve_commit(repository, name))
    if remote is not None:
        theirs = list_remote(repository, remote, [branch.ref]).get(branch.ref)
        if theirs != branch.commit:
            raise RepositoryError(
                f"{name} is at {branch.commit[:12]} here and at {theirs[:12] if theirs else 'nothing'} on "
                f"{remote.identity}",
                f"bring both to the same commit first: `git pull --ff-only`, or `git push {remote.name} {name}`",
            )
    if _is_checked_out(repository, branch):
        edited = _git(repository, "status", "--porcelain", "--untracked-files=no").strip()
        if edited:
            raise RepositoryError(
                f"{repository.work_tree} has edits that are not committed", "commit them, or `git stash` them, first"
            )
    return branch


def advance(repository: Repository, remote: Remote | None, branch: SourceBranch, commit: str, *, reason: str) -> None:
    """Move the branch to `commit`, which follows its head; a work tree that has it checked out follows.

    The remote comes first: were this to die in between, `git pull` brings the rest. Raises RefMovedError when somebody
    else moved the branch meanwhile: nothing was changed then.
    """
    update = RefUpdate(ref=branch.ref, new=commit, old=branch.commit)
    if repository.branch_prefix != "refs/heads/":  # a copy of the remote: its branches are only followed
        if remote is not None:
            push(repository, remote, [update])
    elif not _is_checked_out(repository, branch):
        publish(repository, [update], remote, reason=reason)
    else:
        if remote is not None:
            push(repository, remote, [update])
        _git(repository, "merge", "--quiet", "--ff-only", commit)


def _is_checked_out(repository: Repository, branch: SourceBranch) -> bool:
    head = repository.git.references.get("HEAD")
    return repository.work_tree is not None and head is not None and head.target == branch.ref


def _git(repository: Repository, *arguments: str) -> str:
    """In the work tree."""
    try:
        done = run_git(arguments, cwd=repository.work_tree, deadline=_CHECKOUT_SECONDS)
    except GitCommandError as error:
        raise RepositoryError(
            f"`git {arguments[0]}` in {repository.work_tree} failed: {error.stderr.strip() or error.message}",
            "run `git status` there",
        ) from error
    return done.stdout.decode("utf-8", "replace")
