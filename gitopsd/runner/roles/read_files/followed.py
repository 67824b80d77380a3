from __future__ import annotations

import os
import stat
import zlib
from typing import NamedTuple

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.lines import EVENT_BYTES, EventTooLongError, holds_too_long, read_lines
from gitopsd.runner.roles.read_files.formats import Csv, Format, JsonLines, PlainLines, RecordError

HEAD_BYTES = 256
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Identity(NamedTuple):
    device: int
    inode: int


class Head(NamedTuple):
    """Length and CRC-32 of a file's first bytes: tells a file from a later one that got the same inode."""

    length: int
    crc: int


class FollowedFile:
    """A file opened by path and known by inode from then on, and how far it was read."""

    def __init__(self, path: str, fd: int, identity: Identity, kind: str) -> None:
        self.path = path
        self.identity = identity
        self.offset = 0
        self.head: Head | None = None
        self.quiet_since: float | None = None
        """Since when its path leads elsewhere and nothing more was found in it (monotonic clock)."""
        self._fd = fd
        self._kind = kind
        self._format = self._new_format()

    @classmethod
    def open(cls, path: str, kind: str) -> FollowedFile | None:
        """None where there is no regular file any more. Raises JobError."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would wait for its writer
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failed("read", path, error) from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return None
        return cls(path, fd, Identity(status.st_dev, status.st_ino), kind)

    def close(self) -> None:
        os.close(self._fd)

    def begins_with(self, head: Head) -> bool:
        data = os.pread(self._fd, head.length, 0)
        return len(data) == head.length and zlib.crc32(data) == head.crc

    def resume(self, offset: int, head: Head) -> None:
        """Go on at `offset`, or at 0 if the file has become shorter than that."""
        if offset <= self.size():
            self.offset, self.head = offset, head

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def links(self) -> int:
        return os.fstat(self._fd).st_nlink

    def restart_if_truncated(self) -> bool:
        """Whether the file has become shorter than what was read of it; reading begins anew then."""
        if self.size() >= self.offset:
            return False
        self.offset, self.head = 0, None
        self._format = self._new_format()
        return True

    def next_events(self, *, to_the_end: bool) -> tuple[bytes, bool]:
        """The events of the next whole records, and whether anything was read (a block may hold blank lines only).

        With `to_the_end`, a last line without a newline counts as whole. Raises JobError.
        """
        try:
            data = read_lines(self._fd, self.offset, self._format.cut)
            if not data and to_the_end and (rest := os.pread(self._fd, EVENT_BYTES, self.offset)):
                return self._convert(rest if rest.endswith(b"\n") else rest + b"\n", len(rest)), True
        except OSError as error:
            raise failed("read", self.path, error) from error
        except EventTooLongError:
            raise self._too_long(self.offset) from None
        return (self._convert(data, len(data)), True) if data else (b"", False)

    def _convert(self, data: bytes, size: int) -> bytes:
        offset = self.offset
        if offset == 0:
            self.head = Head(min(size, HEAD_BYTES), zlib.crc32(data[: min(size, HEAD_BYTES)]))
            if data.startswith(BYTE_ORDER_MARK) and self._kind != "csv":
                data = data[len(BYTE_ORDER_MARK) :]
        try:
            events = self._format.events(data, offset)
        except RecordError as error:
            line = self._line_at(offset) + error.line
            raise JobError(
                f"{self.path}:{line}: {error.reason}; correct the file, or read it in another format"
            ) from error
        if holds_too_long(events):
            raise self._too_long(offset)
        self.offset = offset + size
        return events

    def _too_long(self, offset: int) -> JobError:
        return JobError(
            f"{self.path}:{self._line_at(offset)}: no event ends within {EVENT_BYTES >> 20} MiB, the longest that a"
            " channel carries; correct the file or the format"
        )

    def _line_at(self, offset: int) -> int:
        """The number, from 1, of the line at an offset: read again from the start, since only errors ask."""
        line, position = 1, 0
        while position < offset and (data := os.pread(self._fd, min(1 << 20, offset - position), position)):
            line += data.count(b"\n")
            position += len(data)
        return line

    def _new_format(self) -> Format:
        if self._kind == "csv":
            return Csv(lambda cut: read_lines(self._fd, 0, cut))
        return PlainLines() if self._kind == "lines" else JsonLines()
