"""Whether a producer is there: what a reader that drains goes by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gitopsd.runner import transports
from gitopsd.runner.flow import is_fed, leave
from gitopsd.runner.settings import Settings
from gitopsd.runner.tasks import end
from tests.runner.station import DEADLINE, events, until
from tests.runner.test_backlog import Ends

if TYPE_CHECKING:
    from gitopsd.runner.flow import Input
    from tests.runner.station import Endpoint, Station
    from tests.runner.transports.file_store import FileStore
    from tests.runner.transports.kind import Transports


async def becomes(source: Input, wanted: bool) -> None:
    async def look() -> None:
        while await is_fed(source) is not wanted:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), DEADLINE)


def asked(station: Station, end_of_input: Endpoint) -> bool | None:
    """What a reader that starts now finds."""

    async def ask() -> bool | None:
        ends = Ends(station)
        source = await ends.input(end_of_input)
        try:
            return await is_fed(source)
        finally:
            source.stop()
            await end(ends.tasks)
            await source.close()

    return asyncio.run(ask())


def test_a_reader_knows_that_a_producer_is_there_and_that_it_has_ended(station: Station, transport: Transports) -> None:
    """What it wrote last counts from then on at the latest."""

    async def work() -> None:
        ends, producing = Ends(station), Ends(station)
        source = await ends.input(transport.input("deliver"))
        try:
            assert not await is_fed(source), "nobody was ever there"
            (output,) = transports.make_outputs(Settings(transport.output({"deliver": 1}), "o"), producing.context)
            await output.open()
            await becomes(source, True)
            receipt = await output.write(events(3))
            if transport.durable:
                await asyncio.wait_for(receipt, DEADLINE)
            await leave(output)
            await end(producing.tasks)
            await output.close()
            await becomes(source, False)
            if transport.durable:
                assert await source.backlog() == 3
        finally:
            source.stop()
            await end(ends.tasks)
            await source.close()

    asyncio.run(work())


def test_a_producer_that_was_killed_counts_as_there_until_it_has_ended_well(
    station: Station, remote: Transports
) -> None:
    """Nobody can tell from afar whether it is about to be started again."""
    job = station.reads([remote.output({"deliver": 1})], mode="tail")
    station.put("a.jsonl", events(10))
    producer = station.start(job)
    until((station.state(job) / "positions.json").exists, producer)
    producer.kill()
    producer.wait()
    assert asked(station, remote.input("deliver"))
    producer = station.start(job)
    consumer = station.start(station.writes([remote.input("deliver")]))
    until(lambda: len(station.lines()) == 10, producer, consumer)
    assert asked(station, remote.input("deliver"))
    assert producer.stop() == 0
    assert not asked(station, remote.input("deliver"))


def test_a_producer_that_failed_counts_as_there(station: Station, remote: Transports, file_store: FileStore) -> None:
    """It is started again, and what it had not read yet is still to come."""
    station.put("a.jsonl", events(10))
    assert station.start(station.reads([file_store.output({"relay": 1})])).finish() == 0
    (segment,) = station.root.glob("mnt/c/segments/*/*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-1])
    out = remote.output({"deliver": 1}, producer="o.relay.0")
    relay = station.start(station.runner("o.relay.0", "relay", inputs=[file_store.input("relay")], outputs=[out]))
    assert relay.finish() == 1
    assert asked(station, remote.input("deliver"))
