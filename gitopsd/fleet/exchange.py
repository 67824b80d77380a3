"""One command on an SSH transport: stdin in, stdout, stderr and exit status out, all within a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import paramiko

if TYPE_CHECKING:
    from paramiko import Channel, Transport

_CHUNK = 64 * 1024
_TICK_SECONDS = 0.5  # how often stderr is emptied while stdout is silent, so that neither blocks the other
_SESSION_SECONDS = 10.0  # a kept connection may have died in silence: leave time for another one
_MOST_STDOUT = 64 * 1024 * 1024
_MOST_STDERR = 64 * 1024


class Exchanged(msgspec.Struct, frozen=True):
    """status is None when the command ended without one: killed, or cut off."""

    status: int | None
    stdout: bytes
    stderr: bytes


class NotStarted(Exception):  # noqa: N818 -- says what is certain, for the caller to act on
    """The command was certainly not run: the transport is closed, or the server opens no session."""


class CutOff(Exception):  # noqa: N818
    """The connection ended, or the deadline passed, before the command did: whether it ran to its end isn't known."""


def exchange(transport: Transport, command: str, stdin: bytes, deadline: float) -> Exchanged:
    """Run command with stdin on a channel of its own. deadline: on the clock of time.monotonic().

    Raises NotStarted or CutOff. Streams through the channel itself: Fabric's `run` takes stdin a byte at a time.
    """
    try:
        channel = transport.open_session(timeout=min(_SESSION_SECONDS, _left(deadline)))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NotStarted(_reason(error)) from error
    try:
        channel.settimeout(_left(deadline))
        channel.exec_command(command)
        _send(channel, stdin, deadline)
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
    try:
        channel = transport.open_session(timeout=_SESSION_SECONDS)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NotStarted(_reason(error)) from error
    try:
        channel.settimeout(_SESSION_SECONDS)
        channel.exec_command(command)
        channel.sendall(stdin)
    except (paramiko.SSHException, EOFError, OSError) as error:
        channel.close()
        raise CutOff(_reason(error)) from error
    return channel


def _send(channel: Channel, data: bytes, deadline: float) -> None:
    sent = 0
    try:
        while sent < len(data):
            channel.settimeout(_left(deadline))
            sent += channel.send(data[sent : sent + _CHUNK])
        channel.shutdown_write()
    except TimeoutError:
        raise
    except OSError:
        # the command ended without reading all of it: what it printed says why
        return


def _receive(channel: Channel, deadline: float) -> Exchanged:
    stdout, stderr = bytearray(), bytearray()
    while True:
        while channel.recv_stderr_ready():
            stderr += channel.recv_stderr(_CHUNK)
            del stderr[:-_MOST_STDERR]
        channel.settimeout(min(_TICK_SECONDS, _left(deadline)))
        try:
            received = channel.recv(_CHUNK)
        except TimeoutError:
            if time.monotonic() >= deadline:
                raise
            continue
        if not received:
            break
        stdout += received
        if len(stdout) > _MOST_STDOUT:
            raise CutOff(f"it answered with more than {_MOST_STDOUT} bytes")
    channel.settimeout(_left(deadline))
    while chunk := channel.recv_stderr(_CHUNK):
        stderr += chunk
        del stderr[:-_MOST_STDERR]
    # recv_exit_status() itself waits without end
    if not channel.status_event.wait(_left(deadline)):
        raise CutOff("it closed its output but did not end in time")
    status = channel.exit_status if channel.exit_status >= 0 else None
    if status is None and not channel.get_transport().is_active():
        raise CutOff("the connection was lost")
    return Exchanged(status, bytes(stdout), bytes(stderr))


def _left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


def _reason(error: BaseException) -> str:
    return str(error).rstrip(". ") or type(error).__name__
