"""Starts a run of the job for each burst of a message; see docs/reference/messages.md.

A run is an output like any other: it gives the receipts of the events that it was started for once it has ended well.
So whatever ends this process or its run, or takes the worker down, those events come again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from gitopsd.runner.checkpoint import replace
from gitopsd.runner.errors import failed
from gitopsd.runner.flow import Assembly, Counts, Pump, Receipt, settle, to_every
from gitopsd.runner.lock import hold
from gitopsd.runner.polling import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitopsd.runner.flow import Input
    from gitopsd.runner.job import Context
    from gitopsd.runner.roles.ports import Ports

LAUNCHER = "../../runtime/launch.py"

GATHER_SECONDS = 0.1
GATHER_SECONDS_MOST = 3.0
"""How long a run waits for what comes together with its first event, and for what is stored already to be read."""

AGAIN_SECONDS = 5.0
AGAIN_SECONDS_MOST = 300.0
END_SECONDS = 10.0
"""How long a run that is told to end has for it: less than what the service manager gives the whole job."""


def assemble(context: Context, ports: Ports, _counts: Counts) -> Assembly:
    """What comes in starts runs. Raises JobError."""
    sources = ports.inputs_of("default")
    runs = Runs(context, sources)
    return Assembly([runs], [[Pump(source, to_every([runs])) for source in sources]])


class _Came(NamedTuple):
    events: int
    receipt: Receipt[None]


class Runs:
    """One run at a time. What comes while one is under way starts another one after it."""

    def __init__(self, context: Context, sources: Sequence[Input]) -> None:
        self._context = context
        self._sources = sources
        self._message = context.job.settings.text("message")
        self._waiting: list[_Came] = []
        self._newest = b""
        self._more = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._lock = -1

    async def open(self) -> None:
        self._lock = await self._own_the_job()
        self._context.spawn(self._run_for_what_comes())

    async def write(self, data: bytes) -> Receipt[None]:
        receipt: Receipt[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Came(data.count(b"\n"), receipt))
        self._newest = data[data.rfind(b"\n", 0, -1) + 1 :]
        self._more.set()
        return receipt

    async def close(self) -> None:
        await self._end_the_run()
        if self._lock >= 0:
            os.close(self._lock)

    async def _run_for_what_comes(self) -> None:
        backoff = Backoff(AGAIN_SECONDS, AGAIN_SECONDS_MOST)
        while True:
            await self._more.wait()
            await self._gather()
            self._more.clear()
            came, self._waiting = self._waiting, []
            code = await self._run(sum(one.events for one in came))
            if code == 0:
                backoff.reset()
                for one in came:
                    settle(one.receipt)
                continue
            self._waiting = [*came, *self._waiting]
            self._more.set()
            delay = backoff.next()
            self._context.reporter.say(f"the run failed with exit code {code}; it is started again in {delay:.0f} s")
            await asyncio.sleep(delay)

    async def _gather(self) -> None:
        """Wait until all that is stored has come in, as far as the transport can tell how much that is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GATHER_SECONDS_MOST
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            stored = [await source.backlog() for source in self._sources]
            if sum(one.events for one in self._waiting) >= sum(filter(None, stored)) or loop.time() > deadline:
                return

    async def _run(self, events: int) -> int:
        """One run to its end, and its exit code. Raises JobError."""
        path = self._context.job.state / "message.json"
        told = {"message": self._message, "count": events, "newest": _decoded(self._newest)}
        try:
            await asyncio.get_running_loop().run_in_executor(
                None, replace, path, json.dumps(told, ensure_ascii=False) + "\n"
            )
            environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-IB", LAUNCHER, self._context.job.name, "run"),
                env={**environment, "GITOPSD_MESSAGE": str(path)},
                pass_fds=(self._lock,),  # so that a run which outlives this process is waited for
                start_new_session=True,
            )
        except OSError as error:
            raise failed("start a run for", path, error) from error
        code = await self._process.wait()
        self._process = None
        return code if code >= 0 else 128 - code

    async def _end_the_run(self) -> None:
        """What it was started for has no receipt, so it is started for that again."""
        if self._process is None or self._process.returncode is not None:
            return
        ended = asyncio.ensure_future(self._process.wait())
        for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, None)):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            if (await asyncio.wait({ended}, timeout=seconds))[0]:
                break
        await ended

    async def _own_the_job(self) -> int:
        """Wait for a run that a killed process left behind: it holds the lock for as long as it lives."""
        reporter = self._context.reporter
        return await hold(
            self._context.job.state / "run.lock",
            lambda: reporter.say_rarely("lock", "waiting: a run of before is still under way"),
        )


def _decoded(event: bytes) -> object:
    """As JSON; the bare text of an event that is none."""
    try:
        return json.loads(event)
    except ValueError:
        return event.decode(errors="replace").rstrip("\n")
