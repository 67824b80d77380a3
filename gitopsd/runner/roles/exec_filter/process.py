from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

from gitopsd.runner.errors import JobError, failed
from gitopsd.runner.flow import settle
from gitopsd.runner.lines import BLOCK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from gitopsd.runner.job import Context

TAIL_BYTES = 2000
"""How much of the end of its stderr an error message repeats."""

KILL_SECONDS = 2.0

SOCKET = "events.sock"
"""Where a filter with `input: socket` listens, in its state directory."""

CONNECT_SECONDS = 30.0
CONNECT_AGAIN_SECONDS = 0.05


class FilterProcess:
    """The filter itself: its pipes, its stderr, its end."""

    def __init__(
        self, command: list[str], context: Context, *, has_input: bool, has_output: bool, listens: bool = False
    ) -> None:
        """`listens`: it takes its events at a socket in its state directory, not from stdin."""
        job = context.job
        # As for the launcher, python3 is the interpreter that is running, and files are where they are now.
        self._command = [
            sys.executable if command[0] == "python3" else command[0],
            *(str(job.files.parent / word) if word.startswith("files/") else word for word in command[1:]),
        ]
        self._directory = job.state if job.runs_in_state else None
        self._listens_in = job.state if listens else None
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
        """Our end of the pipe or socket, not blocking; -1 once it is closed."""
        return self._stdin

    def unread(self) -> int:
        """Bytes that the filter hasn't taken, or a few more where it is a socket; 0 once it is closed."""
        if self._stdin < 0:
            return 0
        question = termios.FIONREAD if self._listens_in is None else termios.TIOCOUTQ
        (unread,) = struct.unpack("i", fcntl.ioctl(self._stdin, question, b"\0\0\0\0"))
        return int(unread)

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
        has_pipe = self.has_input and self._listens_in is None
        if self._listens_in is not None:
            # one of before may be left that still listens, and nobody else would find
            (self._listens_in / SOCKET).unlink(missing_ok=True)
        if has_pipe:
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
                cwd=self._directory,
                # it isn't what the service manager waits for
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        except FileNotFoundError:
            raise JobError(f"the command {self.name} was not found; install it on this worker, or correct it") from None
        except OSError as error:
            raise failed("run", self.name, error) from error
        finally:
            if has_pipe:
                os.close(theirs)
        self._stderr_task = asyncio.ensure_future(self._pass_stderr_on())
        if self.has_input and self._listens_in is not None:
            self._stdin = await self._connected(self._listens_in)

    def end_input(self) -> None:
        """Let the filter come to its end: by the end of its input, or by SIGTERM where that isn't its stdin."""
        self._stopping = True
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
            if self._listens_in is not None:
                # it alone: what it has started for its own outputs is still needed for what it holds
                self._signal(signal.SIGTERM)
        elif not self.has_input:
            self._signal_group(signal.SIGTERM)

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
            self._signal_group(signal.SIGTERM)
            exited = asyncio.ensure_future(self._process.wait())
            if not (await asyncio.wait({exited}, timeout=KILL_SECONDS))[0]:
                self._signal_group(signal.SIGKILL)
                await exited
        if self._stderr_task is not None:
            self._stderr_task.cancel()

    async def _pass_stderr_on(self) -> None:
        stream = self._running().stderr
        while stream is not None and (data := await stream.read(BLOCK_BYTES)):
            self._tail = (self._tail + data)[-TAIL_BYTES:]
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()

    async def _connected(self, directory: Path) -> int:
        """A connection to the filter, once it listens. Raises JobError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        # by the directory's descriptor: the path of a state directory may be longer than that of a socket can be
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while True:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.setblocking(False)
                    try:
                        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
                        return connection.detach()
                    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                        pass  # not yet: looked at again below, until the deadline
                if self._running().returncode is not None:
                    await self.ended()
                if loop.time() >= deadline:
                    raise JobError(
                        f"{self.name} doesn't listen at {directory / SOCKET} after {CONNECT_SECONDS:.0f} s; its"
                        " configuration must have it do so"
                    )
                await asyncio.sleep(CONNECT_AGAIN_SECONDS)
        finally:
            os.close(descriptor)

    def reload(self) -> None:
        """Pass SIGHUP on to it."""
        self._signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        """Not by `Process.send_signal`, which may find that it has ended, and takes its exit code from who waits."""
        process = self._running()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._running().pid, number)
        except ProcessLookupError:
            return  # it ended meanwhile

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise JobError(f"{self.name} was not started")
        return self._process
