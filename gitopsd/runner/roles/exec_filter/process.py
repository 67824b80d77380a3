from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.flow import settle
from gitopsd.runner.lines import BLOCK_BYTES

if TYPE_CHECKING:
    from gitopsd.runner.job import Context

TAIL_BYTES = 2000
"""How much of the end of its stderr an error message repeats."""

KILL_SECONDS = 2.0


class FilterProcess:
    """The filter itself: its pipes, its stderr, its end."""

    def __init__(self, command: list[str], context: Context, *, has_input: bool, has_output: bool) -> None:
        # As for the launcher, python3 is the interpreter that is running.
        self._command = [sys.executable if command[0] == "python3" else command[0], *command[1:]]
        self.name = command[0]
        self.has_input = has_input
        self._has_output = has_output
        self._reporter = context.reporter
        self._stdin = -1
        self._process: asyncio.subprocess.Process | None = None
        self._stderr_task: asyncio.Future[None] | None = None
        self._tail = b""
        self._stopping = False

    @property
    def stdin(self) -> int:
        """Our end of the pipe, not blocking; -1 once it is closed."""
        return self._stdin

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        return self._running().stdout

    async def writable(self) -> None:
        """Wait until the pipe to it takes something again."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        fd = self._stdin
        loop.add_writer(fd, settle, ready)
        try:
            await ready
        finally:
            loop.remove_writer(fd)

    async def start(self) -> None:
        """Raises JobError."""
        theirs = asyncio.subprocess.DEVNULL
        if self.has_input:
            # A pipe of our own: asyncio may take a socket, which can't tell how much the filter has read.
            theirs, self._stdin = os.pipe()
            os.set_blocking(self._stdin, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=theirs,
                stdout=asyncio.subprocess.PIPE if self._has_output else None,
                stderr=asyncio.subprocess.PIPE,
                limit=BLOCK_BYTES,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise JobError(f"the command {self.name} was not found; install it on this worker, or correct it") from None
        except OSError as error:
            raise failed("run", self.name, error) from error
        finally:
            if self.has_input:
                os.close(theirs)
        self._stderr_task = asyncio.ensure_future(self._pass_stderr_on())

    def end_input(self) -> None:
        """Let the filter come to its end: by the end of its input, or by SIGTERM where it has none."""
        self._stopping = True
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
        elif not self.has_input:
            self._signal(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait for the filter to end. Raises JobError unless it ended well, and when it should."""
        code = await self._running().wait()
        if self._stderr_task is not None:
            await asyncio.wait({self._stderr_task}, timeout=1)  # a child of its own may hold stderr open
        if code == 0 and (self._stopping or not self.has_input):
            return
        if code == -signal.SIGTERM and self._stopping:
            return
        if code == 0:
            raise JobError(
                f"{self.name} ended by itself (exit code 0) while its input was still open; a filter must read its"
                " input to the end"
            )
        how = f"failed with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
        tail = " ".join(self._tail.decode(errors="replace").split())
        raise JobError(
            f"{self.name} {how}" + (f": {tail}" if tail else ", and said nothing on stderr"),
            exit_code=code if code > 0 else 128 - code,
        )

    async def close(self) -> None:
        """End it, by force if need be."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
        if self._process is None:
            return
        if self._process.returncode is None:
            self._reporter.say(f"{self.name} hasn't ended in time and is ended now; what it still held is lost")
            self._signal(signal.SIGTERM)
            exited = asyncio.ensure_future(self._process.wait())
            if not (await asyncio.wait({exited}, timeout=KILL_SECONDS))[0]:
                self._signal(signal.SIGKILL)
                await exited
        if self._stderr_task is not None:
            self._stderr_task.cancel()

    async def _pass_stderr_on(self) -> None:
        stream = self._running().stderr
        while stream is not None and (data := await stream.read(BLOCK_BYTES)):
            self._tail = (self._tail + data)[-TAIL_BYTES:]
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._running().pid, number)
        except ProcessLookupError:
            return  # it ended meanwhile

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise JobError(f"{self.name} was not started")
        return self._process
