"""Talking to the controller that leads on this machine, over its control socket."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gitopsd.daemon.controller.control_socket.protocol import (
    LONGEST_LINE,
    Answer,
    AskState,
    Done,
    Leader,
    Request,
    State,
    Told,
    Who,
)
from gitopsd.daemon.controller.events import Event
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.memory.state_file import state_folder

SYSTEM_SOCKET = Path("/run/gitopsd-controller/control.sock")  # a folder of its own: /run/gitopsd is the workers'

_CONNECT_SECONDS = 2.0
_SILENCE_SECONDS = 60.0
"""An answer that goes on says something at least every few seconds, if only that nothing is new."""
_NOT_DONE, _GOES_ON = "the controller isn't done yet, and goes on", "`gitopsd status` says how it went"

_ANSWER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class NoLeaderError(ControllerError):
    """No controller listens, or it can't be asked by this user."""


def own_socket(configured: str) -> Path:
    """Where a controller of this user listens: as configured, else the machine's, which root and services have."""
    if configured:
        return Path(configured)
    if os.geteuid() == 0 or os.environ.get("RUNTIME_DIRECTORY"):
        return SYSTEM_SOCKET
    return _user_socket()


def find_leader(repository: str, configured: str = "") -> Leader | None:
    """The controller that leads the repository of that identity on this machine, if one does and lets us ask."""
    paths = [Path(configured)] if configured else [SYSTEM_SOCKET, _user_socket()]
    for path in paths:
        try:
            answer = next(_exchange(Who(), path, deadline=_CONNECT_SECONDS), None)
        except ControllerError:
            continue
        if isinstance(answer, Leader) and answer.repository == repository:
            return answer
    return None


def state_of(leader: Leader) -> State | None:
    """How things are going there; None where it can't be asked any more."""
    try:
        answer = next(_exchange(AskState(), Path(leader.socket), deadline=_CONNECT_SECONDS), None)
    except ControllerError:
        return None
    return answer if isinstance(answer, State) else None


def ask(request: Request, path: Path, *, deadline: float) -> Iterator[Event]:
    """The events that answer a request to the controller that listens at `path`, until it is answered for good.

    `deadline` in seconds for all of it. Raises NoLeaderError where nobody can be asked, ControllerError where the
    controller went away, gave up, or was not done in time: what it does goes on all the same.
    """
    for answer in _exchange(request, path, deadline=deadline):
        match answer:
            case Told(event=event):
                yield event
            case Done(problem=problem, hint=hint):
                if problem:
                    raise ControllerError(problem, hint)
                return
            case Leader() | State():
                return
    raise ControllerError("the controller went away meanwhile", "`gitopsd status` says how things are")


def _exchange(request: Request, path: Path, *, deadline: float) -> Iterator[Answer]:
    end = time.monotonic() + deadline
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
        except OSError as error:
            raise NoLeaderError(
                f"no controller can be asked at {path}: {error.strerror or error}",
                "`systemctl status gitopsd` says whether it runs",
            ) from None
        yield from _answers(connection, end)


def _answers(connection: socket.socket, end: float) -> Iterator[Answer]:
    """Until the other side closes. An empty line says that it is still there."""
    gathered = bytearray()
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise ControllerError(_NOT_DONE, _GOES_ON)
        connection.settimeout(min(left, _SILENCE_SECONDS))
        try:
            received = connection.recv(1 << 16)
        except TimeoutError:
            if time.monotonic() >= end:
                raise ControllerError(_NOT_DONE, _GOES_ON) from None
            raise ControllerError(
                "the controller says nothing any more", "`gitopsd status` says how things are"
            ) from None
        except OSError:
            return
        if not received:
            return
        gathered += received
        if len(gathered) > LONGEST_LINE:
            raise ControllerError("the controller's answer has no end", "is it another version of gitopsd?")
        *lines, rest = gathered.split(b"\n")
        gathered = bytearray(rest)
        for line in lines:
            if line.strip():
                yield _decoded(line)


def _decoded(line: bytes | bytearray) -> Answer:
    try:
        return _ANSWER.decode(line)
    except msgspec.DecodeError as error:
        raise ControllerError(
            f"the controller's answer isn't understood: {error}", "is it another version of gitopsd? restart it"
        ) from None


def _user_socket() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime) / "gitopsd/control.sock" if runtime.startswith("/") else state_folder() / "control.sock"
