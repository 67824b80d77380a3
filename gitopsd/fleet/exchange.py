"""One command on an SSH transport: stdin in, stdout, stderr and exit status out, all within a deadline."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
import paramiko

if TYPE_CHECKING:
    from paramiko import Channel, Transport

CHUNK = 64 * 1024
MOST_STDOUT = 16 * 1024 * 1024  # a hostile worker may have all of it decoded
_TICK_SECONDS = 0.5  # how often stderr is emptied while stdout is silent, so that neither blocks the other
_SESSION_SECONDS = 10.0  # a kept connection may have died in silence: leave time for another one
_MOST_STDERR = 64 * 1024


class Exchanged(msgspec.Struct, frozen=True):
    """status is None when the command ended without one: killed, or cut off; or when it answered and goes on."""

    status: int | None
    stdout: bytes
    stderr: bytes


class NotStarted(Exception):  # noqa: N818 -- says what is certain, for the caller to act on
    """Certainly nothing was done: the transport is closed, the server opens no session, or not all of stdin arrived."""


class CutOff(Exception):  # noqa: N818
    """The connection ended, or the deadline passed, before the command did: whether it ran to its end isn't known."""


class _EndingEvent(threading.Event):
    """Paramiko waits on a channel's event without end for the server's word on a command; this one has a deadline."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def wait(self, timeout: float | None = None) -> bool:
        if not super().wait(left(self._deadline) if timeout is None else timeout) and timeout is None:
            raise TimeoutError("the command was not started in time")
        return True


def open_command(transport: Transport, command: str, deadline: float) -> Channel:
    """Run command on a channel of its own, which the caller reads, writes and closes. Raises NotStarted.

    deadline: on the clock of time.monotonic(); here, and for as long as the server takes to start the command.
    """
    deadline = min(deadline, time.monotonic() + _SESSION_SECONDS)
    try:
        channel = transport.open_session(timeout=left(deadline))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NotStarted(_reason(error)) from error
    try:
        channel.event = _EndingEvent(deadline)
        channel.exec_command(command)
    except (paramiko.SSHException, EOFError, OSError) as error:
        channel.close()
        raise NotStarted(_reason(error)) from error
    return channel


def exchange(transport: Transport, command: str, stdin: bytes, deadline: float) -> Exchanged:
    """Run command with stdin on a channel of its own. deadline: on the clock of time.monotonic().

    Raises NotStarted or CutOff. Streams through the channel itself: Fabric's `run` takes stdin a byte at a time.
    """
    channel = open_command(transport, command, deadline)
    try:
        try:
            send(channel, stdin, deadline)
            channel.shutdown_write()
        except TimeoutError:
            raise
        except OSError:
            pass  # the command ended without reading all of it: what it printed says why
        return _receive(channel, deadline)
    except TimeoutError as error:
        raise CutOff("no answer in time") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise CutOff(_reason(error)) from error
    finally:
        channel.close()


def begin(transport: Transport, command: str, stdin: bytes) -> Channel:
    """Run command on a channel of its own, which the caller reads and closes; its stdin stays open until then.

    stdin: few bytes, sent at once. Raises NotStarted or CutOff.
    """
    deadline = time.monotonic() + _SESSION_SECONDS
    channel = open_command(transport, command, deadline)
    try:
        send(channel, stdin, deadline)
    except (paramiko.SSHException, EOFError, OSError) as error:
        channel.close()
        raise CutOff(_reason(error)) from error
    return channel


def send(channel: Channel, data: bytes, deadline: float) -> None:
    """All of data; TimeoutError or another OSError when it could not be sent."""
    view, sent = memoryview(data), 0
    while sent < len(view):
        channel.settimeout(left(deadline))
        size = channel.send(bytes(view[sent : sent + CHUNK]))
        if not size:
            raise ConnectionError("the channel was closed")
        sent += size


def receive(channel: Channel, stderr: bytearray, deadline: float) -> bytes:
    """What comes next on stdout, empty at its end; stderr is emptied meanwhile. Raises TimeoutError or CutOff."""
    while True:
        while channel.recv_stderr_ready():
            _take_stderr(channel, stderr, deadline)
        channel.settimeout(min(_TICK_SECONDS, left(deadline)))
        try:
            received = channel.recv(CHUNK)
        except TimeoutError:
            received = None
        _require_time(deadline)  # also of one that never falls silent
        if received is not None:
            return received


def ended(channel: Channel, stdout: bytes, stderr: bytearray, deadline: float) -> Exchanged:
    """A command that has closed its stdout. Raises TimeoutError or CutOff."""
    while True:
        channel.settimeout(left(deadline))
        if not _take_stderr(channel, stderr, deadline):
            break
    # recv_exit_status() itself waits without end
    if not channel.status_event.wait(left(deadline)):
        raise CutOff("it closed its output but did not end in time")
    status = channel.exit_status if channel.exit_status >= 0 else None
    transport = channel.get_transport()
    if status is None and (transport is None or not transport.is_active()):
        raise CutOff("the connection was lost")
    return Exchanged(status, stdout, bytes(stderr))


def _take_stderr(channel: Channel, stderr: bytearray, deadline: float) -> bool:
    """Whether there may be more. Raises TimeoutError."""
    chunk = channel.recv_stderr(CHUNK)
    stderr += chunk
    del stderr[:-_MOST_STDERR]
    _require_time(deadline)
    return bool(chunk)


def _require_time(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError


def left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


def _receive(channel: Channel, deadline: float) -> Exchanged:
    stdout, stderr = bytearray(), bytearray()
    while received := receive(channel, stderr, deadline):
        stdout += received
        if len(stdout) > MOST_STDOUT:
            raise CutOff(f"it answered with more than {MOST_STDOUT} bytes")
    return ended(channel, bytes(stdout), stderr, deadline)


def _reason(error: BaseException) -> str:
    return str(error).rstrip(". ") or type(error).__name__
