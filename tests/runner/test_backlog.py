"""What an input says is stored for its step, asked in this process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitopsd.runner import transports
from gitopsd.runner.flow import lags
from gitopsd.runner.job import Context, Job
from gitopsd.runner.report import Reporter
from gitopsd.runner.settings import Settings
from gitopsd.runner.tasks import end
from gitopsd.runner.transports.object_store import removal
from tests.runner.station import DEADLINE, events
from tests.runner.transports import KINDS

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from gitopsd.runner.flow import Input, Output, Receipt
    from tests.runner.station import Endpoint, Station
    from tests.runner.transports.kind import Transports


class Ends:
    """The two ends of a channel, and the background work of both."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.tasks: list[asyncio.Future[None]] = []
        job = Job("o.deliver.0", "write-files", Settings({}, "with"), {}, {}, station.root, station.run / "s")
        self.context = Context(job, self._spawn, Reporter("o.deliver.0"))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def input(self, end: Endpoint) -> Input:
        source = transports.make_input(Settings(end, "inputs"), self.context)
        await source.open()
        return source

    async def output(self, end: Endpoint) -> Output:
        (output,) = transports.make_outputs(Settings(end, "outputs"), self.context)
        await output.open()
        return output

    async def write(self, end: Endpoint, *batches: bytes) -> list[Receipt[None]]:
        output = await self.output(end)
        return [await output.write(data) for data in batches]


async def reaches(source: Input, wanted: int) -> None:
    async def look() -> None:
        while await source.backlog() != wanted:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), DEADLINE)


def test_a_backlog_is_what_is_stored_and_not_acknowledged(station: Station, transport: Transports) -> None:
    async def work() -> None:
        ends = Ends(station)
        source = await ends.input(transport.input("deliver"))
        try:
            assert await source.backlog() == 0
            await ends.write(transport.output({"deliver": 1}), events(30))
            await reaches(source, 30)
            batch = await asyncio.wait_for(source.batches().__anext__(), DEADLINE)
            assert await source.backlog() == 30, "it was taken, and nothing more"
            batch.acknowledge()
            await reaches(source, 0)
        finally:
            source.stop()
            await end(ends.tasks)
            await source.close()

    asyncio.run(work())


@pytest.mark.parametrize("kind", ["file-store", "nats", "object-store"])
def test_a_producer_knows_what_lies_in_a_store_for_each_step(
    station: Station, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "REMOVE_SECONDS", 0.1)
    transport = KINDS[kind](station)

    async def lag(output: Output, **wanted: int) -> None:
        async def look() -> None:
            while await lags(output) != wanted:  # noqa: ASYNC110 -- nobody tells
                await asyncio.sleep(0.01)

        await asyncio.wait_for(look(), DEADLINE)

    async def work() -> None:
        ends = Ends(station)
        deliver, keep = [await ends.input(transport.input(step)) for step in ("deliver", "keep")]
        output = await ends.output(transport.output({"deliver": 1, "keep": 1}))
        try:
            assert await lags(output) == {"deliver": 0, "keep": 0}
            await (await output.write(events(30)))
            await lag(output, deliver=30, keep=30)
            (await asyncio.wait_for(deliver.batches().__anext__(), DEADLINE)).acknowledge()
            await lag(output, deliver=0, keep=30)
            (await asyncio.wait_for(keep.batches().__anext__(), DEADLINE)).acknowledge()
            await lag(output, deliver=0, keep=0)
        finally:
            for source in (deliver, keep):
                source.stop()
            await end(ends.tasks)
            for one in (deliver, keep, output):
                await one.close()
            transport.close()

    asyncio.run(work())


def test_replicas_divide_a_store_and_the_backlog_with_it(station: Station, file_store: Transports) -> None:
    """And what another number of replicas has done counts."""

    async def work() -> None:
        ends = Ends(station)
        output = {**file_store.output({"deliver": 2}), "segment_bytes": 1}
        await asyncio.gather(*await ends.write(output, *[events(10)] * 5))
        replicas = [await ends.input(file_store.input("deliver", replica=number, replicas=2)) for number in (0, 1)]
        backlogs = [await source.backlog() for source in replicas]
        assert sorted(backlogs, key=str) == [20, 30]
        cursor = Path(output["path"]) / "consumers" / "deliver" / "7.json"
        progress = {"done": [[1, 5]], "under_way": {}}
        cursor.write_text(json.dumps({"format": 1, "producers": {output["producer"]: progress}}))
        assert [await source.backlog() for source in replicas] == [0, 0]
        await end(ends.tasks)

    asyncio.run(work())
