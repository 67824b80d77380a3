"""Runs jobs on this machine over events that were given, from the first step to the last, and gathers what came out.

Acknowledgement is end to end, so the end can be told: every event was dealt with, then each step is told to stop and
gives what it still holds to the next one, which is told after it.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitopsd.compiler.local.run import LocalRun, LocalStep
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.local_run.ends import Ends
from gitopsd.daemon.local_run.folder import LocalFolder
from gitopsd.daemon.local_run.processes import JobProcess, end_all
from gitopsd.runner.errors import JobError

Blocks = Iterable[bytes]
"""Whole lines, each block of any number of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What ended a run early; `step` is None where it was nobody's fault in particular."""

    message: str
    step: LocalStep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run, as long as its folder isn't cleared. `said`: step -> the last lines that it printed."""

    run: LocalRun
    folder: LocalFolder
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failure: Failure | None = None

    def events(self, channel: str) -> Iterator[bytes]:
        """The lines that came to a channel, without their ends, in the order in which they came."""
        path = self.folder.came_out(self.run.channels[channel].tap)
        if path.is_file():
            with path.open("rb") as lines:
                for line in lines:
                    yield line.removesuffix(b"\n")


def run_jobs(run: LocalRun, folder: LocalFolder, given: Mapping[str, Blocks], seconds: float) -> Outcome:
    """`given`: channel -> events. Raises ControllerError where nothing could be started."""
    folder.clear()
    for step in run.steps:
        folder.put(step.files)
        _make(step.directories)
    try:
        return asyncio.run(_Run(run, folder, seconds).outcome(given))
    except JobError as error:
        raise ControllerError(f"the channels can't be opened: {error.message}") from error


def _make(directories: Iterable[str]) -> None:
    for directory in directories:
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue  # the job says so itself, with what to do about it


class _Failed(Exception):  # noqa: N818 - carries a value
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Run:
    def __init__(self, run: LocalRun, folder: LocalFolder, seconds: float) -> None:
        self._run = run
        self._seconds = seconds
        self._folder = folder
        self._ends = Ends(folder)
        self._processes = [JobProcess(step, folder, seconds) for step in run.steps if step.is_run]

    async def outcome(self, given: Mapping[str, Blocks]) -> Outcome:
        failure: Failure | None = None
        try:
            async with asyncio.timeout(self._seconds):
                await self._to_the_end(given)
        except TimeoutError:
            failure = self._too_late()
        except _Failed as failed:
            failure = failed.failure
        finally:
            # before they are ended by force: what they say of that is about nothing but us
            said = {process.step.name: tuple(process.said()) for process in self._processes}
            await end_all(self._processes)
            await self._ends.drop()
        return Outcome(run=self._run, folder=self._folder, said=said, failure=failure)

    async def _to_the_end(self, given: Mapping[str, Blocks]) -> None:
        for channel in self._run.channels.values():
            await self._ends.tap(channel)
        for process in self._processes:
            await process.start()
        giving = [self._ends.give(self._run.channels[name], blocks) for name, blocks in given.items()]
        reading = [process for process in self._processes if process.step.way == "reads"]
        await self._while_all_run(asyncio.gather(*giving, *(asyncio.shield(process.ended) for process in reading)))
        for process in self._processes:
            process.tell()
            await self._while_all_run(asyncio.shield(process.ended))
        await self._ends.close()

    async def _while_all_run(self, work: asyncio.Future[Any]) -> None:
        """Waits for the work; raises _Failed as soon as a process fails meanwhile."""
        waiting = {process.ended for process in self._processes}
        try:
            while True:
                await asyncio.wait([work, *waiting], return_when=asyncio.FIRST_COMPLETED)
                self._check()
                if work.done():
                    work.result()
                    return
                waiting = {one for one in waiting if not one.done()}
        finally:
            if not work.done():
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work

    def _check(self) -> None:
        for process in self._processes:
            message = process.failure()
            if message:
                raise _Failed(Failure(message=message, step=process.step))

    def _too_late(self) -> Failure:
        late = [process.step for process in self._processes if process.is_running]
        names = ", ".join(step.name for step in late)
        message = f"it took longer than {self._seconds:g} s" + (f"; still running: {names}" if late else "")
        return Failure(message=message, step=late[0] if len(late) == 1 else None)
