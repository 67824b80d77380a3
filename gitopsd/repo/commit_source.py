"""Reading the source tree of a commit from Git objects; nothing is ever checked out.

Trees and the sizes of blobs are read, and the few blobs that may be pointers; all other content only when asked for.
"""

from functools import partial
from stat import S_IFMT, S_ISDIR
from typing import Literal

from gitopsd.model.trees import object_id
from gitopsd.repo.repository import Repository, TreeEntries
from gitopsd.repo.source import SourceCollector, SourceFile, SourceTree
from gitopsd.repo.source_rules import Belongs, is_source, refused_kind


def read_commit(repository: Repository, commit: str, belongs: Belongs = is_source) -> SourceTree:
    """The source tree of `commit` (a full id), or what else `belongs` says of its root.

    Whatever a hostile tree holds comes back as problems; RepositoryError only when objects are missing or damaged.
    """
    root = repository.tree(commit_tree(repository, commit))
    collector = SourceCollector()
    pending = [("", _ours(root, belongs), [name for _, name, _ in root])]
    while pending and not collector.full:
        folder, entries, siblings = pending.pop()
        by_name = {name: (mode, entry) for mode, name, entry in entries}
        for name, path in collector.admit(folder, list(by_name), siblings):
            mode, entry = by_name[name]
            if S_ISDIR(mode):
                below = repository.tree(entry)
                pending.append((path + "/", below, [name for _, name, _ in below]))
            elif (kind := _refused_kind(mode)) is not None:
                collector.refuse(refused_kind(path, kind))
            elif collector.has_room(path, size := repository.blob_size(entry)):
                file = committed_file(repository, entry, executable=bool(mode & 0o100))
                collector.add(path, file, size=size)
    return collector.finish(tree=_source_id(root, belongs), commit=commit)


def committed_file(repository: Repository, blob: str, *, executable: bool) -> SourceFile:
    """A file whose content the repository has."""
    return SourceFile(blob=blob, executable=executable, data=partial(repository.read, blob, "blob"))


def source_id(repository: Repository, commit: str) -> str:
    """The `id` that the source tree of `commit` has, without reading it. Raises RepositoryError."""
    return _source_id(repository.tree(commit_tree(repository, commit)))


def commit_tree(repository: Repository, commit: str) -> str:
    """The id of a commit's root tree. Raises RepositoryError if there is no such commit."""
    first_line = repository.read(commit, "commit").split(b"\n", 1)[0]
    return first_line.removeprefix(b"tree ").decode("ascii", "replace")


def _ours(root: TreeEntries, belongs: Belongs) -> list[tuple[int, bytes, str]]:
    return [entry for entry in root if belongs(entry[1], folder=S_ISDIR(entry[0]))]


def _source_id(root: TreeEntries, belongs: Belongs = is_source) -> str:
    lines = b"".join(b"%o %s\0%s" % (mode, name, bytes.fromhex(entry)) for mode, name, entry in _ours(root, belongs))
    return object_id("tree", lines)


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
