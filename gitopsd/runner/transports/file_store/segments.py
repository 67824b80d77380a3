"""The segments of a `file-store` channel: immutable files of plain lines, whose names say what must be in them."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.lines import FRAME_BYTES

_NAME = re.compile(r"(\d{12,})-(\d{15,})-(\d+)-([0-9a-f]{8})\.jsonl")


class Segment(NamedTuple):
    """`first` is the number of the first event among all that the producer ever wrote here, `events` their count."""

    sequence: int
    first: int
    events: int
    crc: int

    @property
    def name(self) -> str:
        return f"{self.sequence:012d}-{self.first:015d}-{self.events}-{self.crc:08x}.jsonl"

    @classmethod
    def parse(cls, name: str) -> Segment | None:
        match = _NAME.fullmatch(name)
        return cls(int(match[1]), int(match[2]), int(match[3]), int(match[4], 16)) if match else None


def listing(directory: Path) -> list[Segment]:
    """A producer's sealed segments in order. Raises OSError; JobError where two of them bear one number."""
    segments = sorted(segment for entry in os.scandir(directory) if (segment := Segment.parse(entry.name)))
    for earlier, later in zip(segments, segments[1:]):
        if earlier.sequence == later.sequence:
            raise JobError(
                f"{directory} holds two segments of one number, {earlier.name} and {later.name}: two processes wrote as"
                " the same job; stop one of them, and rename one of the files to the next free number"
            )
    return segments


def producers(channel: Path) -> dict[str, Path]:
    """The directory of every producer that has ever written to the channel. Raises OSError."""
    try:
        return {entry.name: Path(entry.path) for entry in os.scandir(channel / "segments") if entry.is_dir()}
    except FileNotFoundError:
        return {}


def verify(path: Path, segment: Segment) -> int:
    """Check a segment against its name and return its size in bytes. Raises JobError, FileNotFoundError.

    A pass of its own before the first event leaves: a damaged segment is refused whole, and memory stays flat.
    """
    count = crc = size = 0
    last = b""
    try:
        with path.open("rb", buffering=0) as file:
            while data := file.read(FRAME_BYTES):
                count += data.count(b"\n")
                crc = zlib.crc32(data, crc)
                size += len(data)
                last = data[-1:]
    except FileNotFoundError:
        raise
    except OSError as error:
        raise failed("read the segment", path, error) from error
    if crc != segment.crc or count != segment.events or last != b"\n":
        raise JobError(
            f"the segment {path} is damaged: it holds {count} events with checksum {crc:08x}, its name says"
            f" {segment.events} with {segment.crc:08x}; restore it from a backup, or move it away to go on without it"
        )
    return size
