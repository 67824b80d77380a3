"""Git trees computed in memory: ids of blobs and trees without writing anything. Standard library only, pure."""

from binascii import hexlify, unhexlify
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Literal, NamedTuple

FILE = 0o100644
EXECUTABLE = 0o100755
SYMLINK = 0o120000
SUBMODULE = 0o160000
TREE = 0o040000

ObjectKind = Literal["blob", "tree", "commit"]


class GitObject(NamedTuple):  # a tuple, not a dataclass: made 50,000 times a deployment
    """One object without its header."""

    kind: ObjectKind
    data: bytes


class TreeEntry(NamedTuple):
    """One line of a tree: `mode` as Git writes it (0o100644, 0o040000, …), `id` 40 hex digits."""

    mode: int
    id: str


class TreeFile(NamedTuple):
    """A file to be put into a tree. A plain `(data, executable)` does as well."""

    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Graft:
    """A file or a whole folder (`mode=TREE`) that the repository holds already, put into a tree by its id."""

    id: str
    mode: int = TREE


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltTree:
    """A tree and everything in it that is not a graft.

    `entries` maps every path, folders included, to its mode and id; the root is not in it. `objects` maps ids to the
    blobs and trees that were computed, the root among them; `grafts` are the ids that must exist already.
    """

    id: str
    entries: Mapping[str, TreeEntry]
    objects: Mapping[str, GitObject]
    grafts: frozenset[str]


def object_id(kind: ObjectKind, data: bytes) -> str:
    """The Git id of an object, 40 hex digits: SHA-1 of its kind, its length in decimal, a NUL and its bytes."""
    return sha1(b"%s %d\0%s" % (kind.encode(), len(data), data), usedforsecurity=False).hexdigest()


def build_tree(files: Mapping[str, tuple[bytes, bool] | Graft]) -> BuiltTree:
    """The tree that holds exactly `files`: path with `/` -> (content, executable) or a graft.

    Raises ValueError for a path that Git could not hold: empty, absolute, `.`, `..` or `.git` in it, or a file
    where another path needs a folder.
    """
    folders: dict[str, dict[str, TreeEntry]] = {"": {}}
    entries: dict[str, TreeEntry] = {}
    objects: dict[str, GitObject] = {}
    grafts = set[str]()
    for path, content in files.items():
        folder, slash, name = path.rpartition("/")
        _check_name(name, path)
        if slash:
            _check_name(folder, path)
        siblings = folders.get(folder)
        if siblings is None:
            siblings = _add_folder(folders, folder)
        if isinstance(content, Graft):
            entry = TreeEntry(content.mode, content.id)
            grafts.add(content.id)
        else:
            data, executable = content
            header = b"blob %d\0" % len(data)
            blob = sha1(header + data, usedforsecurity=False).hexdigest()
            objects[blob] = GitObject("blob", data)
            entry = TreeEntry(EXECUTABLE if executable else FILE, blob)
        siblings[name] = entries[path] = entry
    for folder in sorted(folders, key=lambda path: path.count("/") + 1 if path else 0, reverse=True):
        data = serialise_tree(folders[folder])
        tree = object_id("tree", data)
        objects[tree] = GitObject("tree", data)
        if folder:
            parent, _, name = folder.rpartition("/")
            if folder in entries:
                raise ValueError(f"{folder!r} is a file or graft, and another path needs it as a folder")
            folders[parent][name] = entries[folder] = TreeEntry(TREE, tree)
    return BuiltTree(id=tree, entries=entries, objects=objects, grafts=frozenset(grafts))


def serialise_tree(entries: Mapping[str, TreeEntry]) -> bytes:
    """The bytes of one tree object; Git sorts folders as if their names ended in a slash."""
    lines = sorted(
        (name.encode() + b"/" if entry.mode == TREE else name.encode(), name.encode(), entry)
        for name, entry in entries.items()
    )
    return b"".join(b"%o %s\0%s" % (entry.mode, name, unhexlify(entry.id)) for _, name, entry in lines)


def parse_tree(data: bytes) -> list[tuple[int, bytes, str]]:
    """The (mode, name, id) of each line of a tree object, in its order.

    Names are raw bytes: a hostile tree may hold any. Raises ValueError when the bytes are not a tree.
    """
    found: list[tuple[int, bytes, str]] = []
    position = 0
    while position < len(data):
        space = data.index(b" ", position)
        end = data.index(b"\0", space)
        if end + 21 > len(data):
            raise ValueError("a tree object ends in the middle of an entry")
        object_bytes = data[end + 1 : end + 21]
        found.append((int(data[position:space], 8), data[space + 1 : end], hexlify(object_bytes).decode()))
        position = end + 21
    return found


def _check_name(name: str, path: str) -> None:
    if name in {"", ".", ".."} or "\0" in name or name.lower() == ".git":
        raise ValueError(f"{path!r} cannot be a path in a Git tree")


def _add_folder(folders: dict[str, dict[str, TreeEntry]], folder: str) -> dict[str, TreeEntry]:
    parent, _, name = folder.rpartition("/")
    _check_name(name, folder)
    if parent not in folders:
        _add_folder(folders, parent)
    return folders.setdefault(folder, {})
