"""Fetching what a stranger chose: never more of it than so many bytes, and nothing of it that isn't whole.

Git has no limit for what it fetches. So the objects go into a folder of their own that borrows those of the repository,
and the system keeps every file that `git` and its programs write below the limit: the pack that comes is one file, and
its index is another, smaller one. Only when all of it is there and checked does it join the others.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from gitopsd.repo.durable import fsync_folder
from gitopsd.repo.errors import GitCommandError, TooLargeError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.remote import Remote, explain_failure, refuse_away
from gitopsd.repo.repository import Repository

_PREFIX = "tmp_objdir-gitopsd-"
"""`git gc` takes what begins with `tmp_objdir-` for left over by a crash, when it is two weeks old."""

_LEFT_OVER_SECONDS = 3600.0
_MEMORY = 2 << 30
_OPTIONS = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--recurse-submodules=no", "--refmap=")
_LARGE_OBJECTS = ("-c", "core.bigFileThreshold=16m")
"""Larger ones pass through `git` without being in memory: a small pack may hold what unpacks to much."""


def fetch_bounded(repository: Repository, remote: Remote, ref: str, *, largest: int, deadline: float) -> None:
    """Have the objects of what `ref` of the remote leads to, durably; no ref moves here. `largest` is in bytes, packed.

    Raises TooLargeError and RemoteError; then nothing of it is left.
    """
    refuse_away(remote)
    objects = repository.git_dir / "objects"
    with _aside(objects) as folder:
        try:
            run_git(
                [*_LARGE_OBJECTS, "fetch", *_OPTIONS, remote.name, ref],
                git_dir=repository.git_dir,
                cwd=repository.work_tree or repository.git_dir,
                deadline=deadline,
                environment={
                    **repository.git_environment,
                    "GIT_OBJECT_DIRECTORY": str(folder),
                    "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
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
        _join(folder / "pack", objects / "pack")
    for backend in repository.git.odb.backends:
        backend.refresh()


@contextmanager
def _aside(objects: Path) -> Iterator[Path]:
    """A folder on the same file system; those of processes that died go."""
    for left in objects.glob(f"{_PREFIX}*"):
        if time.time() - left.stat().st_mtime > _LEFT_OVER_SECONDS:
            rmtree(left)
    folder = Path(mkdtemp(prefix=_PREFIX, dir=objects))
    try:
        yield folder
    finally:
        rmtree(folder)


def _join(packs: Path, there: Path) -> None:
    """Each index after its pack, since that is what makes others see it. `git` has synced the files."""
    names = sorted(packs.glob("pack-*"), key=lambda one: (one.suffix == ".idx", one.name))
    if not names:
        return
    there.mkdir(exist_ok=True)
    for one in names:
        one.rename(there / one.name)
    fsync_folder(there)
