"""The heads of pull requests, here: refs that are no branches, kept as long as the pull requests are open."""

from collections.abc import Collection

from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.bounded_fetch import fetch_bounded
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.refs import RefUpdate, delete_ref, update_ref
from gitopsd.repo.source_rules import MAX_TOTAL_BYTES

_REFS = "refs/gitopsd/pull-requests/"
_SECONDS = 120.0
LARGEST = MAX_TOTAL_BYTES
"""Bytes, packed, that aren't here yet: as much as a whole version may have."""


def fetch_head(workspace: Workspace, number: int, theirs: str, commit: str, *, largest: int = LARGEST) -> None:
    """Have `commit` here; `theirs` is the ref by which the forge serves it. Raises RepositoryError: TooLargeError where
    that would be more than `largest` bytes.
    """
    repository, ours = workspace.repository, f"{_REFS}{number}"
    known = repository.ref(ours)
    if known == commit and repository.has(commit):
        return
    if workspace.remote is not None and not repository.has(commit):
        fetch_bounded(repository, workspace.remote, theirs, largest=largest, deadline=_SECONDS)
    if not repository.has(commit):
        raise RepositoryError(
            f"the head {commit[:12]} of pull request {number} is not in the repository",
            "`forge.repository` must be the same repository as `repository`",
        )
    if known != commit:
        update_ref(repository, RefUpdate(ref=ours, new=commit, old=known), reason=f"gitopsd: pull request {number}")


def drop_heads(workspace: Workspace, keep: Collection[int]) -> tuple[int, ...]:
    """Those of other pull requests go, and their commits with the next collection of garbage; which ones they were."""
    repository = workspace.repository
    names = [name for name in repository.git.references if name.startswith(_REFS)]
    gone = {int(number) for name in names if (number := name.removeprefix(_REFS)).isdigit()} - set(keep)
    for one in gone:
        delete_ref(repository, f"{_REFS}{one}")
    return tuple(sorted(gone))
