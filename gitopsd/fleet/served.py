"""The agent that stays: one channel to it, on which every request and its answer is a line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import paramiko

from gitopsd.fleet.exchange import MOST_STDOUT, CutOff, Exchanged, NotStarted, ended, open_command, receive, send

if TYPE_CHECKING:
    from paramiko import Channel, Transport

_QUIET_SECONDS = 20.0  # after that long it is asked whether it is there before it is asked for anything
_PING_SECONDS = 5.0
_PING = b'{"verb":"ping"}\n'


class ServedAgent:
    """Belongs to one thread at a time. Once `ask` raised, or returned without a line, only `close` is left."""

    def __init__(self, transport: Transport, command: str, deadline: float) -> None:
        """Raises NotStarted."""
        self._channel: Channel = open_command(transport, command, deadline)
        self._stderr = bytearray()
        self._heard = time.monotonic()
        self._asked = False  # and not yet answered, or not with one line

    def is_there(self, deadline: float) -> bool:
        """Whether it can be asked, as far as that can be known without asking it for anything."""
        channel = self._channel
        transport = channel.get_transport()
        if self._asked or channel.closed or channel.eof_received or transport is None or not transport.is_active():
            return False
        if time.monotonic() - self._heard < _QUIET_SECONDS:
            return True
        try:
            return bool(self.ask(_PING, min(deadline, time.monotonic() + _PING_SECONDS)).stdout)
        except (NotStarted, CutOff):
            return False

    def ask(self, request: bytes, deadline: float) -> Exchanged:
        """The line that it answers with. Without one: how it ended instead, what it said on stderr in any case.

        Raises NotStarted when the request didn't leave as a whole, CutOff when what became of it isn't known.
        """
        self._asked = True
        try:
            send(self._channel, request, deadline)
        except OSError as error:
            if not self._channel.eof_received:
                raise NotStarted("the request could not be sent") from error
            # the agent ended before: its exit code says why
        try:
            return self._answer(deadline)
        except TimeoutError as error:
            raise CutOff("no answer in time") from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise CutOff(str(error).rstrip(". ") or type(error).__name__) from error

    def close(self) -> None:
        self._channel.close()

    def _answer(self, deadline: float) -> Exchanged:
        line = bytearray()
        while not line.endswith(b"\n"):
            received = receive(self._channel, self._stderr, deadline)
            if not received:
                return ended(self._channel, bytes(line), self._stderr, deadline)
            line += received
            if len(line) > MOST_STDOUT:
                raise CutOff(f"it answered with more than {MOST_STDOUT} bytes")
        self._heard = time.monotonic()
        self._asked = line.index(b"\n") != len(line) - 1
        stderr = bytes(self._stderr)
        self._stderr.clear()
        return Exchanged(None, bytes(line), stderr)
