"""Calls to systemd's manager over its own socket, as systemctl makes them: a process for each would cost more than all
else that arming a switch takes. Of D-Bus here is what three calls need, in the little-endian form of its specification.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOCKET = "/run/systemd/private"
_SECONDS = 10.0
_METHOD_RETURN, _ERROR, _SIGNAL = 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _SIGNATURE = 1, 2, 3, 8
_NAME = "org.freedesktop.systemd1"
_MANAGER = "/org/freedesktop/systemd1"
_AT_ONCE = 64  # calls that are sent before their answers are read: few enough that neither side ever blocks
_LONGEST_LINE = 1024
_LONGEST_REPLY = 16 * 1024 * 1024


def restart_unit(unit: str) -> None:
    """Restart a unit and wait for systemd to be done with it; OSError when it can't be."""
    body = _Bytes()
    body.string(unit)
    body.string("replace")
    with _connect() as connection:
        (job,) = _strings(_call(connection, "RestartUnit", "ss", body), 0, 1)
        while True:
            kind, fields, answer = _receive(connection)
            if kind == _SIGNAL and b"\0JobRemoved\0" in fields:
                removed, _, result = _strings(answer, 4, 3)
                if removed == job:
                    break
    if result != "done":
        raise ConnectionError(f"systemd could not restart {unit}: {result}")


def start_scope(scope: str, description: str, pid: int) -> None:
    """Have systemd move a process into a transient scope, which goes when that ends; OSError when it won't."""
    body = _Bytes()
    body.string(scope)
    body.string("fail")
    length = body.begin_array(8)
    for name, signature in (("Description", "s"), ("CollectMode", "s"), ("PIDs", "au")):
        body.align(8)
        body.string(name)
        body.signature(signature)
        if name == "PIDs":
            pids = body.begin_array(4)
            body.number(pid)
            body.end_array(pids)
        else:
            body.string(description if name == "Description" else "inactive-or-failed")
    body.end_array(length)
    body.end_array(body.begin_array(8))  # no other units
    with _connect() as connection:
        _call(connection, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)


def list_units(patterns: Sequence[str]) -> bytes:
    """Names, states and queued jobs of the loaded units that fit, as systemd tells them; OSError when it doesn't."""
    body = _Bytes()
    body.end_array(body.begin_array(4))  # of any state
    wanted = body.begin_array(4)
    for pattern in patterns:
        body.string(pattern)
    body.end_array(wanted)
    with _connect() as connection:
        return _call(connection, "ListUnitsByPatterns", "asas", body)


def get_properties(wanted: Sequence[tuple[str, str, str]]) -> list[bytes]:
    """The variant of each property, (path of its object, interface below systemd's name, property), as it came.

    OSError when one can't be had.
    """
    found: list[bytes] = []
    with _connect() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            calls = wanted[start : start + _AT_ONCE]
            connection.sendall(b"".join(_get(*call) for call in calls))
            found += [_answer(connection, "Get") for _ in calls]
    return found


def _get(path: str, interface: str, name: str) -> bytes:
    body = _Bytes()
    body.string(f"{_NAME}.{interface}")
    body.string(name)
    return _message("Get", "ss", body, path, "org.freedesktop.DBus.Properties")


class _Bytes:
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


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        _enter(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _enter(connection: socket.socket) -> None:
    connection.settimeout(_SECONDS)
    connection.connect(_SOCKET)
    connection.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
    answer = _line(connection)
    if not answer.startswith(b"OK"):
        raise ConnectionError(f"systemd does not let us in: {answer.decode('ascii', 'replace').strip()}")


def _call(connection: socket.socket, member: str, signature: str, body: _Bytes) -> bytes:
    """The body of the reply."""
    connection.sendall(_message(member, signature, body))
    return _answer(connection, member)


def _answer(connection: socket.socket, member: str) -> bytes:
    while True:
        kind, _, answer = _receive(connection)
        if kind == _ERROR:
            raise ConnectionError(f"systemd refused {member}: {_strings(answer, 0, 1)[0] if answer else 'no reason'}")
        if kind == _METHOD_RETURN:
            return answer


def _message(
    member: str, signature: str, body: _Bytes, path: str = _MANAGER, interface: str = f"{_NAME}.Manager"
) -> bytes:
    message = _Bytes()
    message.data += b"l\x01\0\x01"  # little-endian, a method call, no flags, version 1
    message.number(len(body.data))
    message.number(1)  # answers come in the order of the calls, so none needs a number of its own
    fields = message.begin_array(8)
    for code, kind, value in _fields(member, signature, path, interface):
        message.align(8)
        message.data.append(code)
        message.signature(kind)
        if kind == "g":
            message.signature(value)
        else:
            message.string(value)
    message.end_array(fields)
    message.align(8)
    return bytes(message.data + body.data)


def _fields(member: str, signature: str, path: str, interface: str) -> Sequence[tuple[int, str, str]]:
    return (
        (_PATH, "o", path),
        (_INTERFACE, "s", interface),
        (_MEMBER, "s", member),
        (_SIGNATURE, "g", signature),
    )


def _receive(connection: socket.socket) -> tuple[int, bytes, bytes]:
    """The next message: its kind, its fields as they are, its body."""
    head = _exactly(connection, 16)
    length, _, fields = struct.unpack("<III", head[4:])
    if length + fields > _LONGEST_REPLY:
        raise ConnectionError("systemd sent a message longer than any that was asked for")
    return head[1], _exactly(connection, fields + -fields % 8), _exactly(connection, length)


def _strings(body: bytes, start: int, count: int) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        start += -start % 4
        (length,) = struct.unpack_from("<I", body, start)
        found.append(body[start + 4 : start + 4 + length].decode("utf-8", "replace"))
        start += 4 + length + 1
    return found


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
        line += _exactly(connection, 1)
    return line


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("systemd hung up")
        data += chunk
    return data
