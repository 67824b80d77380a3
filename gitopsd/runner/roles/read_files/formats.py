"""From the bytes of a file to events: one converter a format, working on blocks of whole records."""

from __future__ import annotations

import base64
import csv
import io
import json
from json.encoder import encode_basestring
from typing import Callable, Protocol

from gitopsd.runner.lines import EVENT_BYTES, NotUtf8Error, check_utf8, whole_lines, without_blank_lines


class RecordError(Exception):
    """A record that can't become an event. `line` counts from 0 within the block."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Format(Protocol):
    """Cuts and converts the blocks of one file."""

    def cut(self, data: bytes) -> int:
        """How many bytes of `data`, which begins at a record, are whole records."""

    def events(self, data: bytes, offset: int) -> bytes:
        """The events in whole records found at `offset` in the file; may be b"". Raises RecordError."""


class JsonLines:
    """Every line is an event already: its bytes stay as they are, blank lines are dropped."""

    def cut(self, data: bytes) -> int:
        return whole_lines(data)

    def events(self, data: bytes, offset: int) -> bytes:  # noqa: ARG002 -- the protocol's
        _check_utf8(data)
        return without_blank_lines(data)


class PlainLines:
    """Every line, without its ending, becomes {"line": "..."}, or {"line_base64": "..."} where it is not UTF-8."""

    def cut(self, data: bytes) -> int:
        return whole_lines(data)

    def events(self, data: bytes, offset: int) -> bytes:  # noqa: ARG002 -- the protocol's
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return b"".join(_line_event(line) for line in data[:-1].split(b"\n"))
        lines = text[:-1].replace("\r\n", "\n").removesuffix("\r").split("\n")
        return "".join([f'{{"line":{encode_basestring(line)}}}\n' for line in lines]).encode()


class Csv:
    """Every record after the header becomes an object of strings (RFC 4180: quoted fields may hold newlines)."""

    def __init__(self, read_first: Callable[[Callable[[bytes], int]], bytes]) -> None:
        """`read_first(cut)` reads the beginning of the file, as much as `cut` says; b"" while it isn't there."""
        self._read_first = read_first
        self._header: list[str] = []
        self._header_bytes = 0
        csv.field_size_limit(EVENT_BYTES)

    def cut(self, data: bytes) -> int:
        """After the last newline outside quotes: one with an even number of quotes before it."""
        end = whole_lines(data)
        quotes = data.count(b'"', 0, end)
        while end and quotes % 2:
            earlier = data.rfind(b"\n", 0, end - 1) + 1
            quotes -= data.count(b'"', earlier, end)
            end = earlier
        return end

    def events(self, data: bytes, offset: int) -> bytes:
        if not self._header:
            self._learn_header(data if offset == 0 else self._read_first(self._cut_first))
        skipped = self._header_bytes if offset == 0 else 0
        first_line = data.count(b"\n", 0, skipped)
        _check_utf8(data)
        reader = csv.reader(io.StringIO(data[skipped:].decode(), newline=""), strict=True)
        events: list[str] = []
        try:
            for row in reader:
                if not row:
                    continue
                if len(row) != len(self._header):
                    raise RecordError(
                        first_line + reader.line_num - 1,
                        f"the record has {len(row)} fields, the header {len(self._header)}",
                    )
                events.append(json.dumps(dict(zip(self._header, row)), ensure_ascii=False, separators=(",", ":")))
        except csv.Error as error:
            raise RecordError(first_line + reader.line_num - 1, str(error)) from error
        return "".join([f"{event}\n" for event in events]).encode()

    def _cut_first(self, data: bytes) -> int:
        """After the first newline outside quotes."""
        quotes = start = 0
        while end := data.find(b"\n", start) + 1:
            quotes += data.count(b'"', start, end)
            if quotes % 2 == 0:
                return end
            start = end
        return 0

    def _learn_header(self, data: bytes) -> None:
        self._header_bytes = self._cut_first(data)
        first = data[: self._header_bytes]
        _check_utf8(first)
        try:
            header = next(csv.reader(io.StringIO(first.decode("utf-8-sig"), newline=""), strict=True), [])
        except csv.Error as error:
            raise RecordError(0, f"the header can't be read: {error}") from error
        if not header or len(set(header)) != len(header):
            raise RecordError(0, "the header is empty or names a field twice")
        self._header = header


def _check_utf8(data: bytes) -> None:
    try:
        check_utf8(data)
    except NotUtf8Error as error:
        raise RecordError(error.line, "the line is not UTF-8") from error


def _line_event(line: bytes) -> bytes:
    line = line.removesuffix(b"\r")
    try:
        return f'{{"line":{encode_basestring(line.decode())}}}\n'.encode()
    except UnicodeDecodeError:
        return b'{"line_base64":"' + base64.b64encode(line) + b'"}\n'
