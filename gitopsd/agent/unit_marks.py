"""Whether anything may have happened to the units of jobs, for a tenth of what `systemctl show` costs.

Asked is systemd itself, over its private socket and with the one message that lists units; what that doesn't show, the
links to invocations and the directories that every `daemon-reload` makes anew do.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_SOCKET = "/run/systemd/private"
_INVOCATIONS = "/run/systemd/units"  # systemd-journald reads them, too: `invocation:UNIT` -> its id
_GENERATED = ("/run/systemd", *(f"/run/systemd/generator{suffix}" for suffix in ("", ".early", ".late")))
_PATTERNS = ("gitopsd-*.service", "gitopsd-*.timer", "gitopsd-*.path")
_SECONDS = 5.0
_MOST_BYTES = 16 * 1024 * 1024
# D-Bus Specification, "Message Protocol": types of messages, codes of header fields
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _DESTINATION, _SIGNATURE = 1, 2, 3, 6, 8


def unit_marks() -> bytes | None:
    """Something that stays the same for as long as nothing happens; None where it can't be told."""
    try:
        listed = _listed()
        invocations = sorted(
            f"{name}={os.readlink(f'{_INVOCATIONS}/{name}')}"  # noqa: PTH115 -- one of many, in the cheapest way
            for name in os.listdir(_INVOCATIONS)  # noqa: PTH208
            if name.startswith("invocation:gitopsd-")
        )
    except (OSError, ValueError, struct.error):
        return None  # another systemd than we know: `systemctl show` tells all the same
    generated = []
    for directory in _GENERATED:
        with suppress(FileNotFoundError):
            status = os.stat(directory)  # noqa: PTH116
            generated.append((directory, status.st_ino, status.st_mtime_ns))
    return sha256(b"\0".join((listed, repr(invocations).encode(), repr(generated).encode()))).digest()


def _listed() -> bytes:
    """The body of systemd's answer: name, states and queued job of every unit of a job that is loaded."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bus:
        bus.settimeout(_SECONDS)
        bus.connect(_SOCKET)
        user = str(os.geteuid()).encode().hex().encode()
        bus.sendall(b"\0AUTH EXTERNAL " + user + b"\r\nBEGIN\r\n" + _list_units())
        with bus.makefile("rb") as answers:
            if not answers.readline(1024).startswith(b"OK "):
                raise ValueError("not let in")
            while True:
                kind, body = _message(answers)
                if kind == _RETURN:
                    return body
                if kind == _ERROR:
                    raise ValueError("refused")  # others are signals, that whoever connects there is sent


def _message(answers: BinaryIO) -> tuple[int, bytes]:
    head = answers.read(16)
    order = "<" if head[:1] == b"l" else ">"
    kind, _, _, size, _, fields = struct.unpack(f"{order}BBBIII", head[1:])
    if size > _MOST_BYTES or fields > _MOST_BYTES:
        raise ValueError("too long")
    answers.read(fields + -fields % 8)
    body = answers.read(size)
    if len(body) != size:
        raise ValueError("cut off")
    return kind, body


def _list_units() -> bytes:
    """The call of ListUnitsByPatterns, org.freedesktop.systemd1(5), marshalled: units of all states by their names."""
    texts = b""
    for pattern in _PATTERNS:
        texts = _aligned(texts, 4) + _text(pattern)
    body = struct.pack("<II", 0, len(texts)) + texts
    fields = b""
    for code, kind, value in (
        (_PATH, b"o", _text("/org/freedesktop/systemd1")),
        (_INTERFACE, b"s", _text("org.freedesktop.systemd1.Manager")),
        (_MEMBER, b"s", _text("ListUnitsByPatterns")),
        (_DESTINATION, b"s", _text("org.freedesktop.systemd1")),
        (_SIGNATURE, b"g", b"\4asas\0"),
    ):
        fields = _aligned(fields, 8) + bytes((code, 1)) + kind + b"\0" + value
    head = struct.pack("<cBBBIII", b"l", _CALL, 0, 1, len(body), 1, len(fields))
    return _aligned(head + fields, 8) + body


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def _aligned(data: bytes, to: int) -> bytes:
    return data + b"\0" * (-len(data) % to)
