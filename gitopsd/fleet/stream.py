"""Answers that come as they arise: a job's log, line by line, over SSH or from the agent on this machine."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import msgspec

from gitopsd.fleet.errors import WorkerUnreachable
from gitopsd.fleet.wire import decode_answer
from gitopsd.model.not_json import NOT_JSON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from paramiko import Channel

_TICK_SECONDS = 0.2  # how soon somebody who wants to stop is heard
_SILENCE_SECONDS = 40.0  # the agent's heartbeat is four times as often
_CHUNK = 64 * 1024
_LONGEST_LINE = 4 * 1024 * 1024
_END_SECONDS = 5.0


class _Line(msgspec.Struct, frozen=True):
    line: str | None = None


class Stream(Protocol):
    """Bytes from a command that runs until we close it."""

    def read(self, seconds: float) -> bytes | None:
        """What came; None when nothing did within the time, empty at the end."""

    def close(self) -> None:
        """The command sees the end of its stdin, and ends."""


class ChannelStream:
    """A command on a channel of an SSH transport."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def read(self, seconds: float) -> bytes | None:
        self._channel.settimeout(seconds)
        try:
            return self._channel.recv(_CHUNK)
        except TimeoutError:
            return None

    def close(self) -> None:
        with suppress(OSError, EOFError):
            self._channel.shutdown_write()
        self._channel.close()


class ProcessStream:
    """A command on this machine, in a session of its own: Ctrl-C in the terminal is not for it."""

    def __init__(self, command: list[str], stdin: bytes) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None  # noqa: S101 -- it was asked for
        assert self._process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        with suppress(BrokenPipeError):
            self._stdin.write(stdin)

    def read(self, seconds: float) -> bytes | None:
        ready, _, _ = select.select([self._stdout], [], [], seconds)
        return os.read(self._stdout.fileno(), _CHUNK) if ready else None

    def close(self) -> None:
        with suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()


def log_lines(worker: str, stream: Stream, stop: Event) -> Iterator[str]:
    """Lines as they come, until `stop` is set or the log ends; the stream is closed in any case.

    Raises WorkerRefused when the agent says no, WorkerUnreachable when nothing is heard of it any more.
    """
    begun, rest = False, b""
    heard = time.monotonic()
    try:
        while not stop.is_set():
            read = stream.read(_TICK_SECONDS)
            if read is None:
                if time.monotonic() - heard > _SILENCE_SECONDS:
                    raise _cut_off(worker, f"nothing was heard of it for {_SILENCE_SECONDS:.0f} s")
                continue
            if not read:
                raise _cut_off(worker, "the connection ended")
            heard = time.monotonic()
            *answers, rest = (rest + read).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise _cut_off(worker, f"it sent a line of more than {_LONGEST_LINE} bytes")
            for answer in answers:
                if not begun:
                    decode_answer(worker, "follow", None, answer, b"")
                    begun = True
                    continue
                line = _line(worker, answer)
                if line is not None:
                    yield line
    finally:
        stream.close()


def _line(worker: str, answer: bytes) -> str | None:
    try:
        return msgspec.json.decode(answer, type=_Line).line
    except NOT_JSON:
        raise _cut_off(worker, "what came makes no sense") from None


def _cut_off(worker: str, reason: str) -> WorkerUnreachable:
    return WorkerUnreachable(worker, "read", f"{worker}: its log can't be followed any more: {reason}. Run it again")
