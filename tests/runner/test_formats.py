from __future__ import annotations

import base64
import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.runner.roles.read_files.formats import Csv, PlainLines, RecordError

FIELDS = st.text(alphabet='ab",\n\ré ', max_size=8)


@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1), st.integers(min_value=1, max_value=50))
def test_csv_records_come_through_however_the_file_is_cut(rows: list[tuple[str, str]], block: int) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("one", "two"), *rows])
    content = buffer.getvalue().encode()
    converter = Csv(lambda cut: content[: cut(content)])
    events, offset, size = b"", 0, block
    while offset < len(content):
        data = content[offset : offset + size]
        end = converter.cut(data)
        if end:
            events += converter.events(data[:end], offset)
            offset, size = offset + end, block
        else:
            size *= 2
    expected = [{"one": one, "two": two} for one, two in rows]
    assert [json.loads(line) for line in events.decode().split("\n")[:-1]] == expected


def test_a_csv_file_is_resumed_in_its_middle_by_its_header() -> None:
    content = b"one,two\n1,2\n3,4\n"
    converter = Csv(lambda cut: content[: cut(content)])
    assert converter.events(b"3,4\n", 12) == b'{"one":"3","two":"4"}\n'


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"one,two\n1,2\n1\n", 2, "1 fields"),
        (b"one,two\n1,2,3\n", 1, "3 fields"),
        (b"one,one\n1,2\n", 0, "twice"),
        (b"\n1,2\n", 0, "empty"),
        (b"one,two\n1,\xff\n", 1, "UTF-8"),
    ],
)
def test_a_csv_record_that_makes_no_sense_is_named(content: bytes, line: int, reason: str) -> None:
    converter = Csv(lambda cut: content[: cut(content)])
    with pytest.raises(RecordError, match=reason) as raised:
        converter.events(content, 0)
    assert raised.value.line == line


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")), min_size=1))
def test_every_line_becomes_an_event_that_gives_its_bytes_back(content: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in content)
    events = [json.loads(event) for event in PlainLines().events(data, 0).decode().split("\n")[:-1]]
    back = [e["line"].encode() if "line" in e else base64.b64decode(e["line_base64"]) for e in events]
    assert back == content


def test_a_line_ending_of_windows_is_not_part_of_the_line() -> None:
    assert PlainLines().events(b"a\r\n\r\nb\r\n", 0) == b'{"line":"a"}\n{"line":""}\n{"line":"b"}\n'
