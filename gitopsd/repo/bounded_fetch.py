"""Fetching what a stranger chose: never more of it than so many bytes.

Git has no limit for what it fetches. So the objects go into a folder of their own that borrows those of the repository,
and the system keeps every file that `git` and its programs write below the limit: the pack that comes is one file, and
its index is another, smaller one.
"""

from pathlib import Path

from gitopsd.repo.errors import GitCommandError, TooLargeError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.remote import Remote, explain_failure, refuse_away
from gitopsd.repo.repository import Repository

_MEMORY = 2 << 30
_OPTIONS = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--recurse-submodules=no", "--refmap=")
_LARGE_OBJECTS = ("-c", "core.bigFileThreshold=16m")
"""Larger ones pass through `git` without being in memory: a small pack may hold what unpacks to much."""


def fetch_bounded(
    repository: Repository, remote: Remote, ref: str, folder: Path, *, largest: int, deadline: float
) -> None:
    """Have in `folder`, which is empty, what the repository lacks of the objects that `ref` of the remote leads to.

    No ref moves. `largest` is in bytes, packed. Raises TooLargeError and RemoteError: then what is
    in the folder is of no use.
    """
    refuse_away(remote)
    try:
        run_git(
            [*_LARGE_OBJECTS, "fetch", *_OPTIONS, remote.name, ref],
            git_dir=repository.git_dir,
            cwd=repository.work_tree or repository.git_dir,
            deadline=deadline,
            environment={
                **repository.git_environment,
                "GIT_OBJECT_DIRECTORY": str(folder),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(repository.git_dir / "objects"),
            },
            ssh_command=repository.config("core.sshCommand"),
            limits=[f"--fsize={largest}", f"--data={_MEMORY}", "--core=0"],
        )
    except GitCommandError as error:
        if any(one.stat().st_size >= largest for one in folder.rglob("*") if one.is_file()):
            raise TooLargeError(
                f"what {ref} has and the base hasn't is more than {largest >> 20} MiB, packed, and isn't fetched",
                "large files belong behind a `url:` of a blueprint, not into Git",
            ) from error
        raise explain_failure(error, remote.identity) from error
