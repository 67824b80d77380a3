from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from gitopsd.runner import checkpoint
from gitopsd.runner.transports.file_store import cursors
from gitopsd.runner.transports.file_store.cursors import NOTHING, Progress, contains, union

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = st.frozensets(st.integers(min_value=1, max_value=40))
STEPS = st.lists(st.tuples(st.integers(min_value=1, max_value=20), st.integers(min_value=0, max_value=3)))


def ranges(numbers: frozenset[int]) -> cursors.Ranges:
    result: cursors.Ranges = []
    for number in numbers:
        result = union(result, [(number, number)])
    return result


def members(of: cursors.Ranges) -> set[int]:
    return {number for first, last in of for number in range(first, last + 1)}


@given(NUMBERS, NUMBERS)
def test_a_union_of_ranges_is_that_of_the_sets_they_stand_for(left: frozenset[int], right: frozenset[int]) -> None:
    merged = union(ranges(left), ranges(right))
    assert members(merged) == left | right
    assert merged == sorted(merged)
    assert all(earlier[1] + 1 < later[0] for earlier, later in pairwise(merged))


@given(NUMBERS)
def test_what_ranges_contain_is_what_was_put_into_them(numbers: frozenset[int]) -> None:
    assert {number for number in range(42) if contains(ranges(numbers), number)} == numbers


def progress(steps: list[tuple[int, int]]) -> Progress:
    """`steps` are segments and what became of them: 0 done, else so many bytes of it."""
    result = NOTHING
    for sequence, offset in steps:
        if offset and not result.has_done(sequence):
            result = result.reach(sequence, max(offset, result.start_of(sequence)))
        elif not offset:
            result = result.finish(sequence)
    return result


@given(STEPS, STEPS, STEPS)
def test_the_files_of_replicas_add_up_in_any_order(
    one: list[tuple[int, int]], two: list[tuple[int, int]], three: list[tuple[int, int]]
) -> None:
    first, second, third = progress(one), progress(two), progress(three)
    assert first.merge(second) == second.merge(first)
    assert first.merge(second).merge(third) == first.merge(second.merge(third))
    assert first.merge(first) == first == first.merge(NOTHING)


@given(STEPS, STEPS)
def test_nothing_that_is_done_is_ever_taken_back(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    first, second = progress(one), progress(two)
    merged = first.merge(second)
    for sequence in range(1, 21):
        assert merged.has_done(sequence) == (first.has_done(sequence) or second.has_done(sequence))
        if not merged.has_done(sequence):
            assert merged.start_of(sequence) == max(first.start_of(sequence), second.start_of(sequence))
        else:
            assert sequence not in merged.under_way


@given(STEPS, st.text(min_size=1, max_size=10))
def test_a_cursor_survives_being_written_and_read(steps: list[tuple[int, int]], producer: str) -> None:
    content = json.loads(json.dumps({"format": 1, **cursors.dump({producer: progress(steps)})}))
    assert cursors.parse(content) == {producer: progress(steps)}


def test_a_step_has_done_what_any_of_its_replicas_has_done_past_ones_included(tmp_path: Path) -> None:
    for replica, done in enumerate(([[1, 1], [4, 4]], [[2, 2]], [[3, 3]])):
        entry = {"done": done, "under_way": {"5": replica * 10}}
        checkpoint.replace(tmp_path / f"{replica}.json", json.dumps({"format": 1, "producers": {"p": entry}}))
    cursor = cursors.read_step(tmp_path, lambda _path, _error: None)
    assert cursor["p"] == Progress([(1, 4)], {5: 20})


def test_a_damaged_cursor_counts_as_empty_and_is_reported(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text('{"format": 1, "producers": {"p": {"done": [[1, ')
    (tmp_path / "1.json").write_text('{"format": 1, "producers": {"p": {"done": [[7, 8]], "under_way": {}}}}')
    (tmp_path / "2.json").write_text('{"format": 1, "producers": {"p": {"done": [[9, 3]], "under_way": {}}}}')
    (tmp_path / "3.json").write_text('{"format": 1, "producers": {"p": 3}}')
    (tmp_path / "4.json").write_bytes(b"\xff\xfe")
    damaged: list[str] = []
    cursor = cursors.read_step(tmp_path, lambda path, _error: damaged.append(path.name))
    assert cursor == {"p": Progress([(7, 8)], {})}
    assert damaged == ["0.json", "2.json", "3.json", "4.json"]
