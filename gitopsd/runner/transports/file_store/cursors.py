"""Which segments of a `file-store` channel a consuming step has done.

Each replica writes one file, `<path>/consumers/<step>/<replica>.json`:

    {"format": 1, "producers": {"<producer job>": {"done": [[1, 7], [9, 9]], "under_way": {"10": 4096}}}}

`done` are ranges of sequence numbers, ends included; `under_way` says how many bytes of a segment are done. What a step
has done is the union over the files of all its replicas, past ones included, so a change of their number loses nothing.
Nothing that is done is ever taken back, so a replica may repeat in its own file what it read in another's.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from typing import TYPE_CHECKING, Callable, NamedTuple

from gitopsd.runner import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

Ranges = list[tuple[int, int]]
"""Sorted, disjoint, never adjacent."""


def replica_for(producer: str, sequence: int, replicas: int) -> int:
    """Which replica of a consuming step takes a segment: in turn, beginning with another one for each producer.

    So the segments of many producers that write little are shared as well.
    """
    first = int.from_bytes(hashlib.sha256(producer.encode()).digest()[:4], "big")
    return (first + sequence) % replicas


def union(left: Ranges, right: Ranges) -> Ranges:
    merged: Ranges = []
    for first, last in sorted([*left, *right]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def contains(ranges: Ranges, sequence: int) -> bool:
    index = bisect_right(ranges, (sequence, float("inf"))) - 1
    return index >= 0 and sequence <= ranges[index][1]


class Progress(NamedTuple):
    """What is known to be done of one producer's segments."""

    done: Ranges
    under_way: dict[int, int]
    """By sequence number, the offset in bytes at which to go on; never of a segment that is done."""

    def has_done(self, sequence: int) -> bool:
        return contains(self.done, sequence)

    def start_of(self, sequence: int) -> int:
        return self.under_way.get(sequence, 0)

    def reach(self, sequence: int, offset: int) -> Progress:
        return Progress(self.done, {**self.under_way, sequence: offset})

    def finish(self, sequence: int) -> Progress:
        return self.merge(Progress([(sequence, sequence)], {}))

    def merge(self, other: Progress) -> Progress:
        done = union(self.done, other.done)
        sequences = self.under_way.keys() | other.under_way.keys()
        return Progress(
            done,
            {
                number: max(self.start_of(number), other.start_of(number))
                for number in sequences
                if not contains(done, number)
            },
        )


NOTHING = Progress([], {})

Cursor = dict[str, Progress]
"""By producer job."""


def read(path: Path, damaged: Callable[[Path, ValueError], None]) -> Cursor:
    """The cursor in one file; an empty one where there is no file, or, after telling `damaged`, no sense in it.

    To take a damaged cursor for an empty one is safe on both sides: a reader delivers again, a writer removes nothing.
    Raises OSError.
    """
    try:
        content = checkpoint.load(path)
        return parse(content) if content is not None else {}
    except ValueError as error:  # json.JSONDecodeError and UnicodeDecodeError are ValueErrors
        damaged(path, error)
        return {}


def read_step(directory: Path, damaged: Callable[[Path, ValueError], None]) -> Cursor:
    """The union over the files of one consuming step. Raises OSError."""
    merged: Cursor = {}
    for path in sorted(directory.glob("[!.]*.json")):
        for producer, progress in read(path, damaged).items():
            merged[producer] = progress.merge(merged.get(producer, NOTHING))
    return merged


def parse(content: dict[str, object]) -> Cursor:
    """Raises ValueError where the content makes no sense."""
    producers = content.get("producers")
    if not isinstance(producers, dict):
        raise ValueError("`producers` is missing")  # noqa: TRY004 -- the content is wrong, not the call
    try:
        return {str(producer): _progress(entry["done"], entry["under_way"]) for producer, entry in producers.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a producer's entry is incomplete: {error!r}") from error


def _progress(done: list[list[int]], under_way: dict[str, int]) -> Progress:
    ranges = [(int(first), int(last)) for first, last in done]
    if any(first > last for first, last in ranges):
        raise ValueError("`done` holds a range that ends before it begins")
    return NOTHING.merge(Progress(ranges, {int(sequence): int(offset) for sequence, offset in under_way.items()}))


def dump(cursor: Cursor) -> dict[str, object]:
    return {"producers": {producer: progress._asdict() for producer, progress in cursor.items()}}
