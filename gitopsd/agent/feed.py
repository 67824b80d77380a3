"""Handing events to a copy by hand: its inputs are sockets that nobody else speaks to (docs: worker-channel.md)."""

from __future__ import annotations

import json
import os
import socket
import struct
import zlib
from typing import TYPE_CHECKING, Any

from .copy_job import inputs_of
from .errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .copy_place import CopyPlace
    from .deadline import Deadline

_HEADER = struct.Struct(">IQ")
_ACKNOWLEDGEMENT = struct.Struct(">Q")
_FRAME_BYTES = 1024 * 1024
_LONGEST_EVENT = 16 * 1024 * 1024
_ANSWER_BYTES = 4096


def feed(place: CopyPlace, port: str | None, payload: bytes, deadline: Deadline) -> dict[str, Any]:
    """Send the lines of a compressed payload to one input; returns when the copy has acknowledged them.

    AgentError `not-found`, `not-running`, `bad-payload`; `events` and `acknowledged` say how far it came.
    """
    lines = _lines(payload)
    name, end = _input(place, port)
    frames = list(_frames(lines))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.1, deadline.remaining()))
        try:
            _connect(connection, place.sockets / str(end.get("socket")))
            connection.sendall(f"gitopsd-channel/1 {end.get('channel')} feed\n".encode())
            _greeted(connection, deadline)
        except (FileNotFoundError, ConnectionError):
            raise AgentError(
                "not-running", f"nobody listens at the input {name} of {place.name}: is the copy started?"
            ) from None
        except socket.timeout:
            raise AgentError("not-running", f"{place.name} does not answer at its input {name}") from None
        taken = _send(connection, frames, deadline)
    return {"port": name, "events": sum(count for _, count in frames), "acknowledged": taken}


def _lines(payload: bytes) -> list[bytes]:
    try:
        content = zlib.decompress(payload)
    except zlib.error:
        raise AgentError("bad-payload", "the events are not zlib data") from None
    lines = [line + b"\n" for line in content.split(b"\n") if line]
    if any(len(line) > _LONGEST_EVENT for line in lines):
        raise AgentError("bad-payload", f"an event is longer than {_LONGEST_EVENT} bytes")
    return lines


def _input(place: CopyPlace, port: str | None) -> tuple[str, Mapping[str, Any]]:
    path = place.directory / "jobs" / place.name / "job.json"
    try:
        ports = inputs_of(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise AgentError("not-found", f"there is no copy {place.name} on this worker") from None
    except ValueError:
        raise AgentError("bad-payload", f"{path} is not JSON: correct what was edited there") from None
    known = ", ".join(sorted(ports)) or "none"
    if port is None and len(ports) != 1:
        raise AgentError("not-found", f"which input of {place.name}? It has: {known}")
    if port is not None and port not in ports:
        raise AgentError("not-found", f"{place.name} has no input {port} that can be fed; it has: {known}")
    name = next(iter(ports)) if port is None else port
    return name, ports[name]


def _frames(lines: list[bytes]) -> Iterator[tuple[bytes, int]]:
    """Whole lines, at most a MiB at a time unless a single one is longer, and how many they are."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > _FRAME_BYTES:
            yield b"".join(batch), len(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield b"".join(batch), len(batch)


def _connect(connection: socket.socket, path: Path) -> None:
    """To that very socket: jobs own its directory, and we are root, whom a link there could lead to any other one."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _greeted(connection: socket.socket, deadline: Deadline) -> None:
    answer = b""
    while not answer.endswith(b"\n") and len(answer) < _ANSWER_BYTES:
        answer += _exactly(connection, 1, deadline)
    if answer != b"ok\n":
        raise AgentError("not-running", f"the copy refused: {answer.decode('utf-8', 'replace').strip()}")


def _send(connection: socket.socket, frames: list[tuple[bytes, int]], deadline: Deadline) -> int:
    """One frame at a time, so that what was acknowledged is known; the number of events that were."""
    taken = 0
    for sequence, (lines, count) in enumerate(frames, 1):
        connection.settimeout(max(0.1, deadline.remaining()))
        try:
            connection.sendall(_HEADER.pack(len(lines), sequence) + lines)
            answered = 0
            while answered < sequence:
                answered = _ACKNOWLEDGEMENT.unpack(_exactly(connection, _ACKNOWLEDGEMENT.size, deadline))[0]
        except (socket.timeout, ConnectionError):
            return taken
        taken += count
    return taken


def _exactly(connection: socket.socket, size: int, deadline: Deadline) -> bytes:
    received = b""
    while len(received) < size:
        if deadline.passed:
            raise socket.timeout  # another one than TimeoutError in Python 3.9
        connection.settimeout(max(0.1, deadline.remaining()))
        more = connection.recv(size - len(received))
        if not more:
            raise ConnectionResetError
        received += more
    return received
