"""Where the source branch and the artifact branches are by now, with as little traffic as there can be."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gitopsd.repo.errors import UnknownRevisionError
from gitopsd.repo.remote import Remote, fetch, list_remote, tracking_ref
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import resolve_commit

_TAGS = "+refs/tags/*:refs/tags/*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """The commit of the source branch, which is here by now, and what other refs that were asked for point at.

    Tags among those are here by now as well; an annotated one points at its own object.
    """

    source: str
    refs: Mapping[str, str]


def look(
    repository: Repository, remote: Remote | None, source: str, refs: Collection[str], *, deadline: float
) -> Positions:
    """`source` is the short name of the source branch, `refs` are full names. `deadline` in seconds for each command.

    With a remote one round trip when nothing is new; when the source branch moved, or one of the tags among `refs`, it
    is fetched, and all tags with it, which pins may name. Raises UnknownRevisionError where there is no such branch,
    RepositoryError.
    """
    if remote is None:
        known = {ref: commit for ref in refs if (commit := repository.ref(ref)) is not None}
        return Positions(source=resolve_commit(repository, source), refs=known)
    ref = f"refs/heads/{source}"
    theirs = list_remote(repository, remote, [ref, *refs], deadline=deadline)
    if ref not in theirs:
        raise UnknownRevisionError(
            f"{remote.identity} has no branch {source!r}", "push it, or set `source_branch` in the configuration"
        )
    tracked = tracking_ref(remote, ref)
    tags = {name: theirs.get(name) for name in refs if name.startswith("refs/tags/")}
    if repository.ref(tracked) != theirs[ref] or any(
        there is not None and repository.ref(tag) != there for tag, there in tags.items()
    ):
        fetch(repository, remote, [f"+{ref}:{tracked}", _TAGS], deadline=deadline)
    return Positions(
        source=resolve_commit(repository, tracked),  # it may have moved on meanwhile
        refs={name: commit for name, commit in theirs.items() if name != ref},
    )
