"""Writing objects that a repository lacks, as one pack."""

import struct
import zlib
from collections.abc import Iterable, Mapping
from hashlib import sha1

import pygit2

from gitopsd.model.trees import GitObject
from gitopsd.repo.durable import fsync_folder
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.gitcommand import run_git
from gitopsd.repo.repository import Repository

_PACK_TYPE = {"commit": 1, "tree": 2, "blob": 3}
_SMALL = 16 << 10  # bytes; under it a deflate window of 4 KB does, and its set-up costs a fraction


def write_objects(repository: Repository, objects: Mapping[str, GitObject], *, deadline: float = 120.0) -> int:
    """Store `objects` (id -> object) durably, as one pack, and return how many were new; nothing is written if none is.

    When this returns the pack has been checked by Git (ids, formats, that all they name exists), is fsynced, and
    is visible to `repository`. Killed at any point, it leaves at most a temporary file that `git gc` removes.
    Raises GitCommandError when Git refuses the pack; `deadline` in seconds.
    """
    new = _missing(repository, objects)
    if not new:
        return 0
    pack = _pack_stream([objects[object_id] for object_id in new])
    # Writing our own index would save 0.16 of 0.89 s for 50,000 files; index-pack buys Git's own checks, file modes
    # (core.sharedRepository) and formats for that.
    run_git(["index-pack", "--stdin", "--strict"], git_dir=repository.git_dir, stdin=pack, deadline=deadline)
    fsync_folder(repository.git_dir / "objects" / "pack")
    for backend in repository.git.odb.backends:
        backend.refresh()
    return len(new)


def check_present(repository: Repository, object_ids: Iterable[str]) -> None:
    """Raises RepositoryError unless the repository has all these objects."""
    missing = [object_id for object_id in object_ids if pygit2.Oid(hex=object_id) not in repository.git.odb]
    if missing:
        raise RepositoryError(
            f"{len(missing)} objects to be kept from the last deployment are missing, {missing[0]} among them",
            "run `git fsck`; fetch the artifact branch again",
        )


def _missing(repository: Repository, objects: Mapping[str, GitObject]) -> list[str]:
    # The backends themselves: the database above them lists the pack folder anew for every object it does not find.
    backends = list(repository.git.odb.backends)
    for backend in backends:
        backend.refresh()
    return [
        object_id for object_id in objects if not any(backend.exists(pygit2.Oid(hex=object_id)) for backend in backends)
    ]


def _pack_stream(objects: list[GitObject]) -> bytes:
    """A version 2 pack without deltas, as gitformat-pack(5) has it; level 1, since `git repack` comes later."""
    parts = [struct.pack(">4sII", b"PACK", 2, len(objects))]
    for kind, data in objects:
        parts.append(_entry_header(_PACK_TYPE[kind], len(data)))
        parts.append(_deflate(data))
    digest = sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    parts.append(digest.digest())
    return b"".join(parts)


def _entry_header(pack_type: int, size: int) -> bytes:
    byte, size = pack_type << 4 | size & 15, size >> 4
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    header.append(byte)
    return bytes(header)


def _deflate(data: bytes) -> bytes:
    if len(data) > _SMALL:
        return zlib.compress(data, 1)
    deflate = zlib.compressobj(1, zlib.DEFLATED, 12, 5)
    return deflate.compress(data) + deflate.flush()
