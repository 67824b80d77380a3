from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gitopsd.runner import roles
from gitopsd.runner.drain import until_drained
from gitopsd.runner.errors import JobError
from gitopsd.runner.flow import Counts, Pump
from gitopsd.runner.job import Context, Job
from gitopsd.runner.notify import notify
from gitopsd.runner.report import Reporter
from gitopsd.runner.tasks import end
from gitopsd.runner.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Coroutine

DRAIN_SECONDS = 5.0
"""How long a stopped job waits for what it took in to be acknowledged; the rest is delivered again next time.

GITOPSD_STOP_SECONDS says otherwise, for a run that nobody delivers anything again to.
"""

STATUS_SECONDS = 5.0


async def run(job: Job) -> None:
    """Run `job` until its inputs end, it is told to stop, or it has drained. Raises JobError."""
    counts = Counts()
    traffic = Traffic(job.sockets / f"{job.name}.json", counts)
    try:
        await _run(job, counts, traffic)
    except JobError as error:
        traffic.fail(error.message)
        raise
    finally:
        if job.is_told_of:
            with suppress(JobError):  # it has been told, if it didn't work before
                await traffic.write(ended=True)


async def _run(job: Job, counts: Counts, traffic: Traffic) -> None:
    loop = asyncio.get_running_loop()
    background = _Background()
    reporter = Reporter(job.name)
    assembly = roles.assemble(Context(job, background.spawn, reporter), counts, traffic)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        if job.is_told_of:
            background.spawn(traffic.run(lambda message: reporter.say_rarely("traffic", message)))
        for output in assembly.outputs:
            await output.open()
        for source in assembly.inputs():
            await source.open()
        notify("READY=1")
        traffic.say_ready()
        background.spawn(_status(counts))
        if job.drain_until is not None:
            background.spawn(_drain(until_drained(assembly.inputs(), counts, reporter, job.drain_until), stopping))
        ended = asyncio.ensure_future(_run_stages(assembly.stages, counts, stopping))
        background.tasks.add(ended)
        await _until(ended, background, stopping)
        await assembly.leave()
    finally:
        notify("STOPPING=1")
        await background.cancel()
        await assembly.close()
    left = counts.read - counts.acknowledged
    reporter.say(
        f"{'stopped' if stopping.is_set() else 'finished'}: {counts.acknowledged} events done"
        + (f", {counts.failed} failed" if counts.failed else "")
        + (f", {left} will be delivered again" if left else "")
    )


async def _drain(drained: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    await drained
    stopping.set()


async def _run_stages(stages: list[list[Pump]], counts: Counts, stopping: asyncio.Event) -> None:
    """Return when every pump has ended; once `stopping`, stop them stage by stage."""
    running = [[asyncio.ensure_future(pump.run(counts)) for pump in stage] for stage in stages]
    tasks = [task for stage in running for task in stage]
    stop = asyncio.ensure_future(stopping.wait())
    try:
        waiting: set[asyncio.Future[Any]] = {stop, *tasks}
        while not stop.done() and len(waiting) > 1:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        for stage, pumps in zip(running, stages):
            for pump in pumps:
                pump.source.stop()
            await asyncio.gather(*stage)
    finally:
        await end([stop, *tasks])


async def _until(ended: asyncio.Future[None], background: _Background, stopping: asyncio.Event) -> None:
    """Wait until `ended`, or until DRAIN_SECONDS after `stopping`. Raises what any background task raises."""
    stop: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
    try:
        while not ended.done() and not stop.done():
            await asyncio.wait({stop, *background.tasks}, return_when=asyncio.FIRST_COMPLETED)
            background.check()
        deadline = asyncio.get_running_loop().time() + float(os.environ.get("GITOPSD_STOP_SECONDS", DRAIN_SECONDS))
        while not ended.done() and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait({ended, *background.tasks}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            background.check()
    finally:
        stop.cancel()


class _Background:
    """Tasks that run beside the pumps; the first one that fails, fails the job."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Future[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    def check(self) -> None:
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.discard(task)
            task.result()

    async def cancel(self) -> None:
        await end(self.tasks)


async def _status(counts: Counts) -> None:
    said = ""
    while True:
        failures = f", {counts.failed} failed" if counts.failed else ""
        status = f"STATUS={counts.acknowledged} events done, {counts.read - counts.acknowledged} under way{failures}"
        if status != said:
            notify(status)
            said = status
        await asyncio.sleep(STATUS_SECONDS)
