"""What Git's index remembers of files as it last saw them: which of them needn't be read to know their blob id.

The format is that of gitformat-index(5), versions 2 to 4. An index in another form (split, sparse, damaged) gives
nothing, and then every file is read.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from stat import S_ISREG

_HEADER = struct.Struct(">4sLL")
_ENTRY = struct.Struct(">10L20sH")  # ctime s, ns, mtime s, ns, dev, ino, mode, uid, gid, size, blob id, flags
_CHECKSUM_BYTES = 20
_EXTENDED, _STAGE = 0x4000, 0x3000
_INTENT_TO_ADD = 0x2000  # in the second word of flags
_EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
_FOREIGN_EXTENSIONS = (b"link", b"sdir")  # a split index, and one that has folders as entries

Seen = tuple[int, int, int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStat:
    """The stat data and blob id of each tracked file by its path, and when the index was written, in ns."""

    written: int
    files: Mapping[bytes, tuple[Seen, str]]

    def blob_of(self, path: bytes, status: os.stat_result) -> str | None:
        """The blob id of the file at `path`, if it surely is what the index saw.

        Git's rule for racily clean entries (Documentation/technical/racy-git): a file that may have been changed in
        the same tick of the clock in which the index was written isn't known.
        """
        found = self.files.get(path)
        if found is None or not S_ISREG(status.st_mode) or status.st_mtime_ns >= self.written:
            return None
        seen, blob = found
        if seen != _seen(status) or (status.st_size == 0 and blob != _EMPTY_BLOB):
            return None
        return blob


def read_index_stat(index: Path) -> IndexStat:
    """The index file at `index`; one that can't be understood knows no file."""
    try:
        with index.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime_ns
            data = file.read()
        return IndexStat(written=written, files=dict(_entries(data)))
    except (OSError, ValueError, IndexError, struct.error):
        return IndexStat(written=0, files={})


def _entries(data: bytes) -> Iterator[tuple[bytes, tuple[Seen, str]]]:
    """Raises ValueError, IndexError or struct.error for what isn't a whole index of a known form."""
    signature, version, count = _HEADER.unpack_from(data)
    end = len(data) - _CHECKSUM_BYTES
    checksum = data[end:]
    if signature != b"DIRC" or version not in {2, 3, 4}:
        raise ValueError("not an index")
    if any(checksum) and sha1(data[:end], usedforsecurity=False).digest() != checksum:  # index.skipHash writes zeros
        raise ValueError("the index is damaged")
    position, path = _HEADER.size, b""
    for _ in range(count):
        start = position
        cs, cn, ms, mn, _dev, inode, _mode, uid, gid, size, blob, flags = _ENTRY.unpack_from(data, position)
        position += _ENTRY.size
        intent = False
        if flags & _EXTENDED:
            intent = bool(struct.unpack_from(">H", data, position)[0] & _INTENT_TO_ADD)
            position += 2
        if version == 4:
            removed, position = _variable_length(data, position)
            stop = data.index(b"\0", position, end)
            path = path[: len(path) - removed] + data[position:stop]
            position = stop + 1
        else:
            stop = data.index(b"\0", position, end)
            path = data[position:stop]
            position = start + (stop - start + 8) // 8 * 8  # one to eight NULs
        if not flags & _STAGE and not intent:
            yield path, ((cs, cn, ms, mn, inode, uid << 32 | gid, size), blob.hex())
    while position < end:
        name, size = struct.unpack_from(">4sL", data, position)
        if name in _FOREIGN_EXTENSIONS:
            raise ValueError("an index in another form")
        position += 8 + size


def _variable_length(data: bytes, position: int) -> tuple[int, int]:
    """A number as in OFS_DELTA entries of packs, and where it ends."""
    byte = data[position]
    value = byte & 0x7F
    while byte & 0x80:
        position += 1
        byte = data[position]
        value = (value + 1) << 7 | byte & 0x7F
    return value, position + 1


def _seen(status: os.stat_result) -> Seen:
    changed, modified = divmod(status.st_ctime_ns, 10**9), divmod(status.st_mtime_ns, 10**9)
    low = 0xFFFFFFFF  # Git keeps 32 bits of each
    return (
        changed[0] & low, changed[1], modified[0] & low, modified[1], status.st_ino & low,
        (status.st_uid & low) << 32 | status.st_gid & low, status.st_size & low,
    )  # fmt: skip
