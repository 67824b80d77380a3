"""The ends of channels that the command holds itself: it gives events, and takes what comes out.

They are those of the runner, so what flows here is what would flow between jobs.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, BinaryIO

from gitopsd.compiler.local.run import LocalChannel
from gitopsd.compiler.transports.worker import worker_input, worker_output
from gitopsd.daemon.local_run.folder import LocalFolder
from gitopsd.runner import transports
from gitopsd.runner.flow import Input
from gitopsd.runner.job import Context, Job
from gitopsd.runner.report import Reporter
from gitopsd.runner.settings import Settings
from gitopsd.runner.tasks import end

NAME = "gitopsd-run"


class Ends:
    """All ends of one run."""

    def __init__(self, folder: LocalFolder) -> None:
        self._folder = folder
        self._background: set[asyncio.Task[None]] = set()
        self._taps: list[tuple[Input, BinaryIO, asyncio.Task[None]]] = []
        job = Job(
            name=NAME,
            role="",
            settings=Settings({}, NAME),
            inputs={},
            outputs={},
            state=folder.state(NAME),
            sockets=folder.sockets,
        )
        self._context = Context(job, self._spawn, Reporter(NAME))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._background.add(asyncio.ensure_future(work))

    async def tap(self, channel: LocalChannel) -> None:
        """From now on everything that comes to the channel is written down. Raises the runner's JobError."""
        source = transports.make_input(Settings(worker_input(channel.wire, channel.tap), channel.label), self._context)
        await source.open()
        file = self._folder.came_out(channel.tap).open("wb")
        self._taps.append((source, file, asyncio.create_task(_write_down(source, file))))

    async def give(self, channel: LocalChannel, blocks: Iterable[bytes]) -> None:
        """Gives whole lines to everything that reads the channel; returns when all of it has been dealt with."""
        end = worker_output(channel.wire, [*channel.sockets, channel.tap])
        outputs = transports.make_outputs(Settings(end, channel.label), self._context)
        for output in outputs:
            await output.open()
        newest: dict[int, asyncio.Future[None]] = {}
        for block in blocks:
            for number, output in enumerate(outputs):
                newest[number] = await output.write(block)
        for receipt in newest.values():
            await receipt  # an output gives them in the order of what was written

    async def close(self) -> None:
        """To be called when nobody writes to the channels any more."""
        for source, file, task in self._taps:
            source.stop()
            await task
            await source.close()
            file.close()
        self._taps.clear()
        await end(self._background)

    async def drop(self) -> None:
        """Lets go of everything at once."""
        await end([task for _, _, task in self._taps])
        for source, file, _ in self._taps:
            await source.close()
            file.close()
        self._taps.clear()
        await end(self._background)


async def _write_down(source: Input, file: BinaryIO) -> None:
    async for batch in source.batches():
        file.write(batch.data)
        batch.acknowledge()
