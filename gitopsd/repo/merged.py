"""What merging one commit into another makes, as a commit that exists beside the repository and nowhere else.

Nothing is checked out, no ref moves and nothing is fetched. Objects that the merge makes go into a folder of their own,
which borrows the rest. libgit2 merges by itself: drivers of merging that a configuration or `.gitattributes` name are
never run.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pygit2

from gitopsd.repo.commit_source import commit_tree
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.incoming import lay_out_incoming, open_incoming
from gitopsd.repo.repository import Repository

_NOBODY = pygit2.Signature("gitopsd", "gitopsd@localhost", 0, 0)
_MOST_PATHS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """`commit` is what would be on the base afterwards, and `tree` its tree. Two that only go one way make no commit:
    then it is the one that is ahead.
    """

    commit: str
    tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicting:
    """They can't be merged: `paths` are the first files in the way, without any where they have no common history."""

    paths: tuple[str, ...]


def beside(repository: Repository, folder: Path, *, objects: Path | None = None) -> Repository:
    """The same repository, with an object folder of its own in `folder`, which is empty; it borrows those of `objects`
    too. Raises RepositoryError.
    """
    lay_out_incoming(folder, repository.git_dir, {}, objects=objects)
    return replace(
        open_incoming(folder, repository.git_dir), identity=repository.identity, branch_prefix=repository.branch_prefix
    )


def merge(repository: Repository, base: str, head: str) -> Merged | Conflicting:
    """`head` merged into `base`, both full commit ids. Writes objects into `repository`: give one that is `beside`.

    The same two give the same commit. Raises RepositoryError where history or objects are missing.
    """
    git = repository.git
    ours, theirs = pygit2.Oid(hex=base), pygit2.Oid(hex=head)
    try:
        common: pygit2.Oid | None = git.merge_base(ours, theirs)
        if common is None:
            return Conflicting(paths=())
        if common in {ours, theirs}:
            ahead = head if common == ours else base
            return Merged(commit=ahead, tree=commit_tree(repository, ahead))
        index = git.merge_commits(ours, theirs)
        if index.conflicts is not None:
            return Conflicting(paths=tuple(sorted(_conflicting(index)))[:_MOST_PATHS])
        tree = index.write_tree(git)
        message = f"Merge {head} into {base}"
        commit = git.create_commit(None, _NOBODY, _NOBODY, message, tree, [ours, theirs])
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise RepositoryError(
            f"{head[:12]} and {base[:12]} can't be merged here: {str(error).strip(chr(39))}",
            "a clone needs the whole history of both: `git fetch --unshallow`, or `fetch-depth: 0` in CI",
        ) from None
    return Merged(commit=str(commit), tree=str(tree))


def _conflicting(index: pygit2.Index) -> set[str]:
    found = {entry.path for conflict in index.conflicts or () for entry in conflict if entry is not None}
    return {path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for path in found}
