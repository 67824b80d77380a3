"""Object ids as Git computes them (SHA-1 repositories): the one digest scheme of releases.

https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
"""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, Union

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

NO_BLOB = "0" * 40
_TREE_MODE = "40000"
_CHUNK = 64 * 1024  # a regular file gives less only at its end


class Entry(NamedTuple):
    """One file of a release: its path with `/`, its Git mode (`100644`), its blob id (40 hex)."""

    path: str
    mode: str
    blob: str


class Hashes(Protocol):
    """Knows blob ids from an earlier walk over the same directory."""

    def blob(self, path: str, status: os.stat_result, read: Callable[[], str]) -> str:
        """The blob id of a regular file; `read` hashes it."""

    def walked(self) -> None:
        """The walk is over."""


def blob_id(data: bytes) -> str:
    return _object_id(b"blob", data)


def tree_id(entries: Iterable[Entry]) -> str:
    """The id of the tree that holds these files, whatever order they come in."""
    root: _Tree = {}
    for entry in entries:
        *parents, name = entry.path.split("/")
        node = root
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ValueError(f"{entry.path}: {parent} is a file as well")  # noqa: TRY004 -- of the value, not its type
            node = child
        node[name] = entry
    return _tree_object(root)


def read_directory(directory: Path, hashes: Hashes | None = None) -> list[Entry]:
    """Hash every file below directory, sorted by path; follows no symbolic link and opens nothing but regular files.

    Modes are those of the disk, so that one which Git would not write (100600, a socket) changes the tree id.
    """
    entries = sorted(_walk(str(directory), "", hashes), key=lambda entry: entry.path)
    if hashes is not None:
        hashes.walked()
    return entries


_Tree = dict[str, Union[Entry, "_Tree"]]


def _object_id(kind: bytes, data: bytes) -> str:
    from hashlib import sha1  # noqa: PLC0415 -- OpenSSL is loaded with it: not for what needs no hashes

    digest = sha1(b"%s %d\0" % (kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _tree_object(node: _Tree) -> str:
    lines: list[tuple[bytes, bytes]] = []
    for name, child in node.items():
        raw = os.fsencode(name)
        if isinstance(child, dict):
            # Git compares a directory's name as if it ended with a slash
            lines.append((raw + b"/", _tree_line(_TREE_MODE, raw, _tree_object(child))))
        else:
            lines.append((raw, _tree_line(child.mode, raw, child.blob)))
    return _object_id(b"tree", b"".join(line for _, line in sorted(lines)))


def _tree_line(mode: str, name: bytes, object_id: str) -> bytes:
    return mode.encode() + b" " + name + b"\0" + bytes.fromhex(object_id)


def _walk(directory: str, prefix: str, hashes: Hashes | None) -> Iterator[Entry]:
    with os.scandir(directory) as found:
        entries = list(found)
    for item in entries:
        path = prefix + item.name
        status = item.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(item.path, path + "/", hashes)
        elif stat.S_ISREG(status.st_mode):
            blob = _hash(item.path) if hashes is None else hashes.blob(item.path, status, partial(_hash, item.path))
            yield Entry(path, format(status.st_mode, "o"), blob)
        elif stat.S_ISLNK(status.st_mode):
            yield Entry(path, "120000", blob_id(os.fsencode(os.readlink(item.path))))  # noqa: PTH115 -- bytes as Git has them
        else:
            yield Entry(path, format(status.st_mode, "o"), NO_BLOB)


def _hash(path: str) -> str:
    return blob_id(read_file(path))


def read_file(path: str) -> bytes:
    """The content of what was a regular file a moment ago; follows no symbolic link."""
    # O_NONBLOCK: should a pipe have taken the file's place since, do not wait for its writer
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        chunks = [os.read(descriptor, _CHUNK)]
        while len(chunks[-1]) == _CHUNK:
            chunks.append(os.read(descriptor, _CHUNK))
        return b"".join(chunks)
    finally:
        os.close(descriptor)
