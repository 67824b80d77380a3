"""The heads of pull requests, here: each in a folder of its own beside the repository, as long as it is open.

What a stranger pushes never becomes a part of the repository, which keeps what it has for good: all of it is gone when
the pull request is closed or its head moves. What is merged comes with its branch.
"""

from collections.abc import Collection
from pathlib import Path
from shutil import rmtree

import pygit2

from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.bounded_fetch import fetch_bounded
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.source_rules import MAX_TOTAL_BYTES

_FOLDER = "gitopsd-pull-requests"
_INCOMING = ".incoming"
_SECONDS = 120.0
LARGEST = MAX_TOTAL_BYTES
"""Bytes, packed, that aren't here yet: as much as a whole version may have."""


def fetch_head(workspace: Workspace, number: int, theirs: str, commit: str, *, largest: int = LARGEST) -> Path | None:
    """The folder of objects that has what the repository lacks of `commit`; None where that has all of it. `theirs` is
    the ref by which the forge serves it.

    Raises RepositoryError: TooLargeError where that would be more than `largest` bytes.
    """
    repository = workspace.repository
    if repository.has(commit):
        return None
    folder = _parent(workspace) / str(number)
    if _has(folder, commit):
        return folder
    if workspace.remote is not None:
        incoming = folder.with_suffix(_INCOMING)
        _remove(incoming)
        incoming.mkdir(parents=True)
        try:
            fetch_bounded(repository, workspace.remote, theirs, incoming, largest=largest, deadline=_SECONDS)
            if _has(incoming, commit):
                _remove(folder)
                return incoming.rename(folder)
        finally:
            _remove(incoming)
    raise RepositoryError(
        f"the head {commit[:12]} of pull request {number} is not in the repository",
        "`forge.repository` must be the same repository as `repository`",
    )


def drop_heads(workspace: Workspace, keep: Collection[int]) -> None:
    """Those of other pull requests go, and what a crash left of one that was being fetched."""
    names = {str(one) for one in keep}
    parent = _parent(workspace)
    for one in list(parent.iterdir()) if parent.is_dir() else []:
        if one.name not in names:
            _remove(one)


def _parent(workspace: Workspace) -> Path:
    return workspace.repository.git_dir / _FOLDER


def _has(folder: Path, commit: str) -> bool:
    return folder.is_dir() and pygit2.Oid(hex=commit) in pygit2.Odb(str(folder))


def _remove(folder: Path) -> None:
    if folder.exists():
        rmtree(folder)
