"""Keeping a repository small that a controller writes to for years: each commit comes as a pack, and packs are joined.

`git repack --geometric=2` joins only as many of the newest packs as keep their sizes in a geometric progression, so its
cost grows with what is new, and nothing is dropped, reachable or not.
"""

from gitopsd.repo.errors import GitCommandError, RepositoryError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.repository import Repository

MOST_PACKS = 50
"""More than that slow down every look-up of an object; with the geometric progression there are about a dozen."""


def repack(repository: Repository, *, deadline: float = 600.0) -> int:
    """Joins packs where there are too many; how many there were, 0 where nothing had to be done.

    Safe beside other processes that read and write. `deadline` in seconds. Raises RepositoryError.
    """
    packs = sum(1 for _ in (repository.git_dir / "objects/pack").glob("*.pack"))
    if packs <= MOST_PACKS:
        return 0
    try:
        run_git(
            ["-c", "pack.threads=1", "repack", "-d", "-q", "--geometric=2", "--write-midx", "--no-write-bitmap-index"],
            git_dir=repository.git_dir,
            deadline=deadline,
        )
        run_git(["pack-refs", "--all"], git_dir=repository.git_dir, deadline=deadline)
    except GitCommandError as error:
        raise RepositoryError(
            f"the {packs} packs of {repository.identity} can't be joined: {error.stderr.strip() or error.message}",
            "`git fsck` and the free space there tell more; nothing is lost meanwhile",
        ) from error
    return packs
