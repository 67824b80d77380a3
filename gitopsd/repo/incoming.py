"""A repository as it will be once a push is let through, beside the real one, which nothing is written to.

While Git asks a hook, the pushed objects are in a quarantine and the refs are as they were. Here a repository of its
own borrows the objects of both and has the refs of after the push: a tag that comes with the version that pins it is
there.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.location import path_identity
from gitopsd.repo.repository import Repository, open_at

_GIT_SECONDS = 10.0
_CONFIGURATION = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"


def head_branch(git_dir: Path) -> str:
    """The branch that HEAD is on, which may have no commit yet; empty where it is on none. Raises GitCommandError."""
    command = ["symbolic-ref", "--quiet", "HEAD"]
    done = run_git(command, git_dir=git_dir, deadline=_GIT_SECONDS, ok_exit_codes=frozenset({0, 1}))
    return done.stdout.decode("utf-8", "surrogateescape").strip().removeprefix("refs/heads/")


def read_refs(git_dir: Path) -> dict[str, str]:
    """Ref -> the object that it points at. Raises GitCommandError."""
    command = ["for-each-ref", "--format=%(objectname) %(refname)"]
    listed = run_git(command, git_dir=git_dir, deadline=_GIT_SECONDS).stdout.decode("utf-8", "surrogateescape")
    return {ref: found for found, _, ref in (line.partition(" ") for line in listed.splitlines())}


def lay_out_incoming(
    folder: Path, git_dir: Path, updates: Mapping[str, str | None], *, objects: Path | None = None
) -> frozenset[str]:
    """Make `folder`, which is empty, a repository like the one at `git_dir` with `updates` (ref -> object, or None);
    gives the refs that there are then. `objects` is one more folder of objects to borrow from.

    Where the pushed objects are is taken from the environment that Git runs a hook in. `git` is asked by the
    repository's folder, and so doesn't mind whose it is. Raises GitCommandError.
    """
    after = {ref: commit for ref, commit in {**read_refs(git_dir), **updates}.items() if commit is not None}
    (folder / "refs").mkdir()
    (folder / "objects/info").mkdir(parents=True)
    borrowed = [*_object_folders(git_dir), *([objects] if objects is not None else [])]
    (folder / "objects/info/alternates").write_text("".join(f"{one}\n" for one in borrowed))
    lines = "".join(f"{commit} {ref}\n" for ref, commit in sorted(after.items()))
    (folder / "packed-refs").write_bytes(lines.encode("utf-8", "surrogateescape"))
    (folder / "config").write_text(_CONFIGURATION)
    if (git_dir / "shallow").exists():
        copyfile(git_dir / "shallow", folder / "shallow")
    branch = head_branch(git_dir) or "main"
    (folder / "HEAD").write_bytes(f"ref: refs/heads/{branch}\n".encode("utf-8", "surrogateescape"))
    return frozenset(after)


def open_incoming(folder: Path, git_dir: Path) -> Repository:
    """What was laid out in `folder`, under the name of the real one. Raises RepositoryError, also where it is empty."""
    return replace(open_at(folder), identity=path_identity(git_dir))


def _object_folders(git_dir: Path) -> Iterator[Path]:
    named = [os.environ.get("GIT_OBJECT_DIRECTORY", "")]
    named += os.environ.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "").split(os.pathsep)
    for folder in dict.fromkeys([*(Path(one).resolve() for one in named if one), (git_dir / "objects").resolve()]):
        if folder.is_dir():
            yield folder
