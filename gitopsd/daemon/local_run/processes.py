"""The processes of a run on this machine: the runner's own launcher, as units of workers start it."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from gitopsd.compiler.local.run import LocalStep
from gitopsd.daemon.local_run.folder import LocalFolder

END_SECONDS = 2.0
"""How long what is ended early may take to hear it, before it is ended by force."""

_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
"""What jobs on workers have too; tokens that lie about in a shell are nothing for a repository's programs."""

_LAST_BYTES = 4000


class JobProcess:
    """A job of the run. It ends when the command that started it does, however that comes about."""

    def __init__(self, step: LocalStep, folder: LocalFolder, seconds: float) -> None:
        """`seconds` is how long the whole run may take: so long may a filter work on what it holds in the end."""
        self.step = step
        self._seconds = seconds
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._was_told = False
        self._ended: asyncio.Task[int] | None = None

    async def start(self) -> None:
        guard = shutil.which("setpriv")
        with self._folder.log(self.step.job).open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *([guard, "--pdeathsig", "TERM"] if guard else []),
                sys.executable, "-I", str(self._folder.launcher), self.step.job,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder.root,
                env={
                    **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                    "GITOPSD_RUN": str(self._folder.sockets.parent),
                    "GITOPSD_STOP_SECONDS": f"{self._seconds:g}",
                    "GITOPSD_TRIAL": "1",
                    "STATE_DIRECTORY": str(self._folder.state(self.step.job)),
                },
                start_new_session=True,
            )  # fmt: skip
        self._ended = asyncio.create_task(self._process.wait())

    @property
    def ended(self) -> asyncio.Task[int]:
        """Done with the exit code."""
        if self._ended is None:
            raise ValueError(f"{self.step.job} was not started")
        return self._ended

    @property
    def is_running(self) -> bool:
        return self._ended is not None and not self._ended.done()

    def tell(self) -> None:
        """Tells it to stop: it finishes what it has taken in."""
        self._was_told = True
        if self._process is not None and self.is_running:
            _signal([self._process.pid], signal.SIGTERM)  # `terminate` may take its exit code from who waits for it

    async def end(self) -> None:
        """Ends it and what it started, by force where they don't end by themselves."""
        if self._process is None or not self.is_running:
            return
        family = descendants(self._process.pid)
        _signal(family, signal.SIGTERM)
        await asyncio.wait({self.ended}, timeout=END_SECONDS)
        _signal({*family, *descendants(self._process.pid)}, signal.SIGKILL)
        await self.ended

    def failure(self) -> str:
        """What went wrong with a process that ended; empty where nothing did."""
        if not self.ended.done():
            return ""
        code = self.ended.result()
        if self._was_told and code in {0, -signal.SIGTERM}:
            return ""
        if code == 0:
            ends_by_itself = self.step.way == "reads"
            return "" if ends_by_itself else "ended by itself (exit code 0) before its input did"
        said = self.said()
        own = f"{self.step.job}: "
        last = said[-1].removeprefix(own) if said else ""
        if said and said[-1].startswith(own):
            return last  # the runner's own words say it all
        how = f"failed with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
        return f"{how}: {last}" if last else f"{how}, and said nothing"

    def said(self) -> list[str]:
        """The last lines that it printed, the summary that every runner's job ends with left out."""
        try:
            data = self._folder.log(self.step.job).read_bytes()[-_LAST_BYTES:]
        except FileNotFoundError:
            return []
        lines = data.decode(errors="replace").splitlines()
        ending = (f"{self.step.job}: stopped: ", f"{self.step.job}: finished: ")
        return [line for line in lines if line.strip() and not line.startswith(ending)]


def descendants(process: int) -> set[int]:
    """The process and all below it. A filter is in a session of its own, so no signal to a group reaches it."""
    found: set[int] = set()
    waiting = [process]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _children(one)
    return found


def _children(process: int) -> list[int]:
    try:
        return [
            int(child)
            for thread in Path(f"/proc/{process}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []  # it ended meanwhile


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue  # it ended meanwhile


async def end_all(processes: Iterable[JobProcess]) -> None:
    await asyncio.gather(*(process.end() for process in processes))
