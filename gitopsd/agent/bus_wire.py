"""D-Bus as far as calls to systemd's manager need it, in the little-endian form of its specification: messages, and a
connection to systemd's own socket.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKET = "/run/systemd/private"
SECONDS = 10.0
NAME = "org.freedesktop.systemd1"
METHOD_RETURN, ERROR, SIGNAL = 2, 3, 4
_MANAGER = "/org/freedesktop/systemd1"
_PATH, _INTERFACE, _MEMBER, _SIGNATURE = 1, 2, 3, 8
_HEAD = 16
_CHUNK = 64 * 1024
_LONGEST_LINE = 1024
_LONGEST_REPLY = 16 * 1024 * 1024


class Received(NamedTuple):
    """A message: its kind, its fields as they came, its body."""

    kind: int
    fields: bytes
    body: bytes


class Body:
    """A part of a message; its values are aligned as from its start, which is a multiple of 8 in the message."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def number(self, value: int) -> None:
        self.align(4)
        self.data += struct.pack("<I", value)

    def string(self, text: str) -> None:
        self.number(len(text.encode()))
        self.data += text.encode() + b"\0"

    def signature(self, text: str) -> None:
        self.data += bytes([len(text)]) + text.encode() + b"\0"

    def begin_array(self, alignment: int) -> tuple[int, int]:
        """Where its length goes, and where it begins."""
        self.number(0)
        place = len(self.data) - 4
        self.align(alignment)
        return place, len(self.data)

    def end_array(self, begun: tuple[int, int]) -> None:
        place, start = begun
        struct.pack_into("<I", self.data, place, len(self.data) - start)


class Connection:
    """An open connection. After any error only `close` is left: an answer may still be under way."""

    def __init__(self) -> None:
        """OSError when nobody listens there, or doesn't let us in."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = bytearray()
        try:
            self.patience(SECONDS)
            self._socket.connect(SOCKET)
            self.send(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
            answer = self._line()
        except BaseException:
            self.close()
            raise
        if not answer.startswith(b"OK"):
            self.close()
            raise ConnectionError(f"systemd does not let us in: {answer.decode('ascii', 'replace').strip()}")

    def patience(self, seconds: float) -> None:
        """How long each wait may last from here on; TimeoutError, an OSError, when it lasts longer."""
        self._socket.settimeout(max(0.001, seconds))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> Received:
        """The next message."""
        head = self._take(_HEAD)
        length, _, fields = struct.unpack_from("<III", head, 4)
        if length + fields > _LONGEST_REPLY:
            raise ConnectionError("systemd sent a message longer than any that was asked for")
        return Received(head[1], self._take(fields + -fields % 8), self._take(length))

    def answer(self, member: str) -> bytes:
        """The body of the next reply; what systemd tells everybody meanwhile is passed over."""
        while True:
            received = self.receive()
            if received.kind == ERROR:
                why = strings(received.body, 0, 1)[0] if received.body else "no reason"
                raise ConnectionError(f"systemd refused {member}: {why}")
            if received.kind == METHOD_RETURN:
                return received.body

    def close(self) -> None:
        self._socket.close()

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise ConnectionError("systemd answers with something else than D-Bus")
            self._read()
        return self._take(end + 1)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._read()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _read(self) -> None:
        chunk = self._socket.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("systemd hung up")
        self._buffer += chunk


def message(member: str, signature: str, body: Body, path: str = _MANAGER, interface: str = f"{NAME}.Manager") -> bytes:
    """A method call."""
    head = Body()
    head.data += b"l\x01\0\x01"  # little-endian, a method call, no flags, version 1
    head.number(len(body.data))
    head.number(1)  # answers come in the order of the calls, so none needs a number of its own
    fields = head.begin_array(8)
    for code, kind, value in _fields(member, signature, path, interface):
        head.align(8)
        head.data.append(code)
        head.signature(kind)
        if kind == "g":
            head.signature(value)
        else:
            head.string(value)
    head.end_array(fields)
    head.align(8)
    return bytes(head.data + body.data)


def strings(body: bytes, start: int, count: int) -> list[str]:
    """So many strings, one after the other, from a place in a message's body."""
    found: list[str] = []
    for _ in range(count):
        start += -start % 4
        (length,) = struct.unpack_from("<I", body, start)
        found.append(body[start + 4 : start + 4 + length].decode("utf-8", "replace"))
        start += 4 + length + 1
    return found


def _fields(member: str, signature: str, path: str, interface: str) -> Sequence[tuple[int, str, str]]:
    fields = [(_PATH, "o", path), (_INTERFACE, "s", interface), (_MEMBER, "s", member)]
    return [*fields, (_SIGNATURE, "g", signature)] if signature else fields
