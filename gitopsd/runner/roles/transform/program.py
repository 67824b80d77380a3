"""`exec` as an action: a program that answers each line with one line, so that nobody has to guess what it holds."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.errors import JobError
from gitopsd.runner.flow import Deliver, Receipt, settle, when_all
from gitopsd.runner.lines import BLOCK_BYTES, EVENT_BYTES, without_blank_lines
from gitopsd.runner.roles.exec_filter.process import KILL_SECONDS, FilterProcess
from gitopsd.runner.tasks import end

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

PATIENCE_SECONDS = 30.0


class ExecSettings(NamedTuple):
    command: list[str]
    seconds: float
    """How long the program may take for the events that it is given at once, a frame of a channel at most."""


def exec_settings(action: Settings) -> ExecSettings:
    """`exec: [PROGRAM, ARGUMENT]`, or `exec: {command: [...], seconds: 30}`. Raises JobError."""
    if action.is_list("exec"):
        return ExecSettings(action.texts("exec"), PATIENCE_SECONDS)
    settings = action.section("exec")
    settings.only("command", "seconds")
    seconds = settings.number("seconds", PATIENCE_SECONDS)
    if seconds <= 0:
        raise settings.wrong("seconds", "more than 0")
    return ExecSettings(settings.texts("command"), seconds)


class Program:
    """An Output that sends lines through the program and what comes back onward; a blank line drops its event.

    Whatever goes wrong with the program fails the job, and the events come again.
    """

    def __init__(self, settings: ExecSettings, context: Context, onward: Deliver) -> None:
        self._settings = settings
        self._onward = onward
        self._spawn = context.spawn
        self._process = FilterProcess(settings.command, context, has_input=True, has_output=True)
        self._turn = asyncio.Lock()
        self._missing = 0
        """Lines that it has yet to answer."""
        self._parts: list[bytes] = []
        self._answered: asyncio.Future[None] | None = None

    async def open(self) -> None:
        await self._process.start()
        self._spawn(self._read())

    async def write(self, data: bytes) -> Receipt[None]:
        async with self._turn:
            answers = without_blank_lines(await self._asked(data))
            receipts = await self._onward(answers) if answers else []
        return when_all(receipts)

    async def close(self) -> None:
        self._process.end_input()
        ended = asyncio.ensure_future(self._process.ended())
        await asyncio.wait({ended}, timeout=KILL_SECONDS)
        if ended.done():
            ended.exception()  # all its answers are there: how it ends no longer matters
        await end([ended])
        await self._process.close()

    async def _asked(self, data: bytes) -> bytes:
        count = self._missing = data.count(b"\n")
        self._parts, self._answered = [], asyncio.get_running_loop().create_future()
        sending = asyncio.ensure_future(self._send(data))
        try:
            await asyncio.wait_for(self._answered, self._settings.seconds)
        except asyncio.TimeoutError:
            raise JobError(
                f"{self._process.name} didn't answer {count} events within {self._settings.seconds:g} s; it must answer"
                " each line with one line, and flush it"
            ) from None
        finally:
            await end([sending])
        return b"".join(self._parts)

    async def _read(self) -> None:
        """All the time, so that what nobody asked for is noticed too."""
        stdout, size = self._process.stdout, 0
        while stdout is not None and (data := await stdout.read(BLOCK_BYTES)):
            lines = data.count(b"\n")
            size = len(data) - data.rfind(b"\n") - 1 if lines else size + len(data)
            if lines > self._missing or (size and lines == self._missing):
                raise JobError(
                    f"{self._process.name} wrote more than one line for a line; use std/exec for such a program"
                )
            if size >= EVENT_BYTES:
                raise JobError(f"{self._process.name} wrote a line longer than {EVENT_BYTES >> 20} MiB; shorten it")
            self._parts.append(data)
            self._missing -= lines
            if not self._missing and self._answered is not None:
                settle(self._answered)
        await self._process.ended()

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._process.stdin, rest) :]
            except BlockingIOError:  # noqa: PERF203 -- the pipe is full, which happens once for each 64 KiB
                await self._process.writable()
            except BrokenPipeError:
                return  # it has ended, and its other end says why
