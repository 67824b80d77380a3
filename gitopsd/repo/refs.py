"""Compare-and-swap of refs."""

from dataclasses import dataclass

from gitopsd.repo.durable import fsync_folder
from gitopsd.repo.errors import GitCommandError, RefMovedError, RepositoryError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.repository import Repository

_NO_REF = "0" * 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RefUpdate:
    """`ref` (full name) goes from `old` to `new`, or is created where `old` is None. Both are commit ids."""

    ref: str
    new: str
    old: str | None


def update_ref(repository: Repository, update: RefUpdate, *, reason: str) -> None:
    """Swap a ref of this repository, durably, if it still has its old value. `reason` goes to the reflog.

    Raises RefMovedError when the value was another, or the ref existed that was to be created; RepositoryError when
    the branch is checked out in the work tree, or Git cannot write.
    """
    head = repository.git.references.get("HEAD")
    if repository.work_tree is not None and head is not None and head.target == update.ref:
        raise RepositoryError(
            f"{update.ref} is checked out in {repository.work_tree}; moving it would make all its files look edited",
            "`git switch` to the source branch and run this again",
        )
    # `git update-ref`, not libgit2: that one checks that a ref does not exist before it takes the lock, so that of two
    # creators both win; and it does not fsync.
    try:
        run_git(
            ["update-ref", "-m", " ".join(reason.split()), update.ref, update.new, update.old or _NO_REF],
            git_dir=repository.git_dir,
            environment={"GIT_COMMITTER_NAME": "gitopsd", "GIT_COMMITTER_EMAIL": "gitopsd@localhost"},
            deadline=30.0,
        )
    except GitCommandError as error:
        actual = repository.ref(update.ref)
        if actual != update.old:
            raise RefMovedError(update.ref, expected=update.old, actual=actual) from error
        raise RepositoryError(
            f"{update.ref} could not be updated: {error.stderr.strip() or error.message}",
            "a .lock file that a killed git left is removed after ten minutes; else look at permissions and space",
        ) from error
    folder = (repository.git_dir / update.ref).parent
    if folder.is_dir():  # a repository may keep its refs elsewhere
        fsync_folder(folder)


def delete_ref(repository: Repository, ref: str) -> None:
    """Drop a ref if it exists. Only for what can be fetched again."""
    if repository.ref(ref) is not None:
        run_git(["update-ref", "-d", ref], git_dir=repository.git_dir, deadline=30.0)
