from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.runner import lines
from gitopsd.runner.lines import (
    EventTooLongError,
    NotUtf8Error,
    check_utf8,
    count_events,
    frames,
    read_lines,
    without_blank_lines,
)

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"") + b"\n"))


@given(LINES, st.integers(min_value=1, max_value=60))
def test_frames_are_whole_lines_that_add_up_to_what_was_cut(content: list[bytes], limit: int) -> None:
    data = b"".join(content)
    pieces = list(frames(data, limit))
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= limit or piece.count(b"\n") == 1 for piece in pieces)


@given(st.lists(LINES, max_size=3).flatmap(lambda blocks: st.lists(st.sampled_from([[], *blocks]))))
def test_events_are_counted_for_each_block_whoever_asks_in_between(blocks: list[list[bytes]]) -> None:
    for content in blocks:
        data = b"".join(content)
        assert [count_events(data), count_events(data)] == [len(content), len(content)]


@given(LINES, st.binary(max_size=30).map(lambda rest: rest.replace(b"\n", b"")))
def test_reading_line_by_line_from_every_offset_yields_every_whole_line_once(content: list[bytes], rest: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(content) + rest)
        file.flush()
        offset, seen = 0, b""
        while block := read_lines(file.fileno(), offset):
            seen += block
            offset += len(block)
    assert seen == b"".join(content)


def test_a_line_longer_than_a_block_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 10)
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000 + b"\n" + b"y\n")
        file.flush()
        first = read_lines(file.fileno(), 0)
        assert first == b"x" * 1000 + b"\n" + b"y\n"


def test_a_line_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 10)
    monkeypatch.setattr(lines, "EVENT_BYTES", 100)
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000)
        file.flush()
        with pytest.raises(EventTooLongError):
            read_lines(file.fileno(), 0)


@given(st.lists(st.sampled_from([b"", b"\r", b"a", b"a\r", b" ", b"\rb"])))
def test_only_blank_lines_are_dropped(content: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in content)
    expected = b"".join(line + b"\n" for line in content if line not in (b"", b"\r"))
    assert without_blank_lines(data) == expected


@given(
    st.lists(st.text(alphabet="aé", max_size=5)), st.lists(st.text(max_size=5).filter(lambda text: "\n" not in text))
)
def test_the_line_that_is_not_utf8_is_named(before: list[str], after: list[str]) -> None:
    data = (
        "".join(f"{line}\n" for line in before).encode() + b"\xff\n" + "".join(f"{line}\n" for line in after).encode()
    )
    with pytest.raises(NotUtf8Error) as raised:
        check_utf8(data)
    assert raised.value.line == len(before)


def test_everything_is_written_even_where_a_write_takes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write

    def stingy(fd: int, data: bytes) -> int:
        return whole(fd, bytes(data)[:3])

    with tempfile.TemporaryFile() as file:
        monkeypatch.setattr(os, "write", stingy)
        lines.write_all(file.fileno(), b"0123456789")
        monkeypatch.undo()
        file.seek(0)
        assert file.read() == b"0123456789"
