"""What a deployment brings: the commits of the source branch since the deployment before it."""

import pygit2
from msgspec import Struct
from pygit2.enums import SortMode

from gitopsd.repo.artifacts import ArtifactCommit, deployments, read_artifact_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

_MOST_NAMED = 50
_MOST_COUNTED = 10_000


class SourceCommit(Struct, frozen=True, kw_only=True):
    """One commit of the source branch; `time` is ISO 8601 in UTC."""

    commit: str
    author: str
    time: str
    subject: str


class Brought(Struct, frozen=True, kw_only=True):
    """`count` commits along first parents, the newest 50 of them named, newest first.

    The first is the version itself. The others were superseded before anybody deployed them, or changed no release;
    a merge counts once. None at all for a deployment that goes back, or whose commits aren't in this clone.
    """

    count: int = 0
    commits: tuple[SourceCommit, ...] = ()


def brought_by(repository: Repository, deployment: ArtifactCommit) -> Brought:
    """Raises RepositoryError for a history that is damaged."""
    if deployment.trailers is None:
        raise ValueError(f"{deployment.id} is no deployment")
    before = next(deployments(repository, deployment.parent), None) if deployment.parent else None
    newest = deployment.trailers.source_commit
    oldest = before.trailers.source_commit if before and before.trailers else None
    if not repository.has(newest) or (oldest is not None and not repository.has(oldest)):
        return Brought()
    ids = [newest] if oldest is None else _between(repository, oldest, newest)
    return Brought(count=len(ids), commits=tuple(_described(repository, commit) for commit in ids[:_MOST_NAMED]))


def _between(repository: Repository, oldest: str, newest: str) -> list[str]:
    try:
        walker = repository.git.walk(pygit2.Oid(hex=newest), SortMode.TOPOLOGICAL)
        walker.simplify_first_parent()
        walker.hide(pygit2.Oid(hex=oldest))
        return [str(commit.id) for commit, _ in zip(walker, range(_MOST_COUNTED), strict=False)]
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise RepositoryError(
            f"the history between {oldest} and {newest} can't be read: {error}", "run `git fsck` in the repository"
        ) from None


def _described(repository: Repository, commit: str) -> SourceCommit:
    found = read_artifact_commit(repository, commit)
    return SourceCommit(
        commit=commit, author=found.author, time=found.time.isoformat(timespec="seconds"), subject=found.subject
    )
