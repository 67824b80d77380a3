"""Reading the source tree of a commit from Git objects; nothing is ever checked out."""

from stat import S_IFMT, S_ISDIR
from typing import Literal

import pygit2

from gitopsd.model.trees import object_id, parse_tree
from gitopsd.repo.repository import Repository, unreadable_object
from gitopsd.repo.source import SourceCollector, SourceFile, SourceTree
from gitopsd.repo.source_rules import is_source, refused_kind


def read_commit(repository: Repository, commit: str) -> SourceTree:
    """The source tree of `commit` (a full id).

    Whatever a hostile tree holds comes back as problems; RepositoryError only when objects are missing or damaged.
    """
    root = _read_tree(repository, commit_tree(repository, commit))
    kept = [entry for entry in root if is_source(entry[1], folder=S_ISDIR(entry[0]))]
    collector = SourceCollector()
    pending = [("", kept, [name for _, name, _ in root])]
    while pending and not collector.full:
        folder, entries, siblings = pending.pop()
        by_name = {name: (mode, entry) for mode, name, entry in entries}
        for name, path in collector.admit(folder, list(by_name), siblings):
            mode, entry = by_name[name]
            if S_ISDIR(mode):
                below = _read_tree(repository, entry)
                pending.append((path + "/", below, [name for _, name, _ in below]))
            elif (kind := _refused_kind(mode)) is not None:
                collector.refuse(refused_kind(path, kind))
            elif collector.has_room(path, _size(repository, entry)):
                data = repository.read(entry, "blob")
                collector.add(path, SourceFile(blob=entry, executable=bool(mode & 0o100), data=data))
    lines = b"".join(b"%o %s\0%s" % (mode, name, bytes.fromhex(entry)) for mode, name, entry in kept)
    return collector.finish(tree=object_id("tree", lines), commit=commit)


def commit_tree(repository: Repository, commit: str) -> str:
    """The id of a commit's root tree. Raises RepositoryError if there is no such commit."""
    first_line = repository.read(commit, "commit").split(b"\n", 1)[0]
    return first_line.removeprefix(b"tree ").decode("ascii", "replace")


def _refused_kind(mode: int) -> Literal["symlink", "submodule", "special-file"] | None:
    match S_IFMT(mode):
        case 0o100000:
            return None
        case 0o120000:
            return "symlink"
        case 0o160000:
            return "submodule"
        case _:
            return "special-file"


def _read_tree(repository: Repository, tree: str) -> list[tuple[int, bytes, str]]:
    try:
        return parse_tree(repository.read(tree, "tree"))
    except ValueError as error:
        raise unreadable_object(tree, str(error)) from None


def _size(repository: Repository, blob: str) -> int:
    try:
        return repository.git.odb.read_header(pygit2.Oid(hex=blob))[1]
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise unreadable_object(blob, str(error).strip("'\"")) from None
