"""Jobs that leave: they end by themselves once nothing is left for them, or at their deadline."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.runner import drain
from gitopsd.runner.flow import Counts
from gitopsd.runner.report import Reporter
from gitopsd.runner.tasks import end
from tests.runner.station import DEADLINE, events, numbers, until
from tests.runner.test_backlog import Ends
from tests.runner.test_fed import becomes
from tests.runner.transports.file_store import FileStore
from tests.runner.transports.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.runner.station import Endpoint, Station
    from tests.runner.transports.kind import Transports
    from tests.runner.transports.nats import Nats
    from tests.runner.transports.object_store import ObjectStore

PLENTY = 600


@pytest.fixture
def quiet_soon(station: Station) -> None:
    """Jobs of this station take it for the end when nothing came, and no producer, for a second."""
    station.hasten("drain.py", "QUIET_SECONDS", 1.0)
    station.hasten("flow.py", "RESTART_SECONDS", 1.0)


def drains(
    station: Station,
    job: str,
    role: str,
    settings: dict[str, Any],
    *,
    inputs: list[Endpoint],
    outputs: list[Endpoint] | None = None,
    seconds: float = PLENTY,
) -> str:
    runner = {
        "role": role,
        "with": settings,
        "inputs": {"default": inputs},
        "outputs": {"default": outputs} if outputs else {},
    }
    station.describe(job, kind="once", runner=runner, drain={"deadline_seconds": seconds})
    return job


def stored(station: Station, file_store: Transports, content: bytes) -> None:
    station.put("a.jsonl", content)
    producer = station.start(station.reads([file_store.output({"deliver": 1})]))
    assert producer.finish() == 0, producer.said()


@pytest.mark.usefixtures("quiet_soon")
def test_a_draining_job_ends_once_it_has_read_what_is_stored(every_python: Station) -> None:
    station = every_python
    file_store = FileStore(station)
    content = events(50_000)
    stored(station, file_store, content)
    job = drains(
        station, "o.deliver.0", "write-files", {"path": str(station.root / "out")}, inputs=[file_store.input("deliver")]
    )
    process = station.start(job)
    assert process.finish() == 0, process.said()
    assert "drained: nothing is left" in process.said()
    assert station.written() == content
    assert (station.state(job) / "completed").exists()


def test_a_draining_chain_ends_from_its_producers_on(station: Station, transport: Transports) -> None:
    """The consumer finds nothing for longer than it takes to be drained, and is there when something comes.

    What is before it says nothing for a while, and then all at once.
    """
    station.hasten("flow.py", "RESTART_SECONDS", 5.0)
    content = events(2_000)
    first_store = FileStore(station)
    stored(station, first_store, content)
    late = "import sys, time\nlines = sys.stdin.readlines()\ntime.sleep(2)\nsys.stdout.writelines(lines)\n"
    # a filter that reads to the end ends when its runner has drained, 5 s after the last event came
    first = drains(
        station,
        "o.late.0",
        "exec",
        {"command": ["python3", "-c", late]},
        inputs=[first_store.input("deliver")],
        outputs=[transport.output({"last": 1}, producer="o.late.0", channel="d")],
    )
    last = drains(
        station,
        "o.last.0",
        "write-files",
        {"path": str(station.root / "out")},
        inputs=[transport.input("last", channel="d")],
    )
    processes = [station.start(first)]
    until((station.run / "s" / "o.late.0.json").exists, *processes)  # it has begun, as fast as this machine is
    processes.append(station.start(last))
    assert [process.finish() for process in processes] == [0, 0], [process.said() for process in processes]
    assert sorted(numbers(station.lines())) == list(range(2_000))


@pytest.mark.usefixtures("quiet_soon")
def test_a_job_waits_for_what_a_process_that_was_killed_had_in_its_hands(station: Station, nats: Nats) -> None:
    """Which comes again only when it hasn't been acknowledged for longer than a drain waits for nothing."""
    nats.options = {"ack_wait": 4}
    stored(station, nats, events(10))
    nobody = Worker(station).output({"nobody": 1})
    holder = station.start(station.runner("o.hold.0", "relay", inputs=[nats.input("deliver")], outputs=[nobody]))
    told = station.run / "s" / "o.hold.0.json"
    until(lambda: told.exists() and json.loads(told.read_text())["read"] == 10, holder)
    holder.kill()
    holder.wait()
    where = {"path": str(station.root / "out")}
    process = station.start(drains(station, "o.deliver.0", "write-files", where, inputs=[nats.input("deliver")]))
    assert process.finish() == 0, process.said()
    assert station.written() == events(10)


def test_a_job_waits_for_servers_that_are_away_until_its_deadline(station: Station, nats: Nats) -> None:
    """What it can't look for isn't taken for nothing."""
    stored(station, nats, events(10))
    relay = drains(
        station,
        "o.deliver.0",
        "relay",
        {},
        inputs=[nats.input("deliver")],
        outputs=[Worker(station).output({"nobody": 1})],
        seconds=9,
    )
    process = station.start(relay)
    until(lambda: "waiting for the consumer" in process.said(), process)
    nats.server.kill()
    assert process.finish() == 0
    assert "what is left can't be known" in process.said()


def test_a_store_that_does_not_answer_holds_nobody_beyond_the_deadline(
    station: Station, object_store: ObjectStore
) -> None:
    object_store.options = {"endpoint": "http://127.0.0.1:9"}
    where = {"path": str(station.root / "out")}
    job = drains(station, "o.deliver.0", "write-files", where, inputs=[object_store.input("deliver")], seconds=12)
    process = station.start(job)
    assert process.finish() == 0
    assert "draining ended at its deadline: what is left can't be known" in process.said()


@pytest.mark.usefixtures("quiet_soon")
def test_a_job_waits_for_a_producer_that_was_killed_until_its_deadline(station: Station, remote: Transports) -> None:
    station.put("a.jsonl", events(10))
    producer = station.start(station.reads([remote.output({"deliver": 1})], mode="tail"))
    until((station.state("o.collect.0") / "positions.json").exists, producer)
    producer.kill()
    producer.wait()
    job = drains(
        station,
        "o.deliver.0",
        "write-files",
        {"path": str(station.root / "out")},
        inputs=[remote.input("deliver")],
        seconds=8,
    )
    process = station.start(job)
    assert process.finish() == 0
    assert station.written() == events(10)
    assert "nothing is left now, but a producer hasn't ended" in process.said()
    assert "draining ended at its deadline: nothing is left" in process.said()


def test_a_job_that_cannot_drain_ends_at_its_deadline_and_says_what_is_left(
    station: Station, file_store: Transports, worker: Transports
) -> None:
    stored(station, file_store, events(1_000))
    job = drains(
        station,
        "o.deliver.0",
        "relay",
        {},
        inputs=[file_store.input("deliver")],
        outputs=[worker.output({"nobody": 1})],
        seconds=1.5,
    )
    process = station.start(job)
    assert process.finish() == 0
    assert "draining ended at its deadline: 1000 events are left" in process.said()
    assert (station.state(job) / "completed").exists()
    station.writes([file_store.input("deliver")])
    consumer = station.start("o.deliver.0")
    until(lambda: station.written() == events(1_000), consumer)


def test_a_deadline_holds_from_the_first_start_on(station: Station, file_store: Transports) -> None:
    stored(station, file_store, events(10))
    job = drains(
        station, "o.deliver.0", "write-files", {"path": str(station.root / "out")}, inputs=[file_store.input("deliver")]
    )
    station.state(job).mkdir(parents=True)
    (station.state(job) / "draining").write_text(f"{time.time() - 60:.3f}")
    process = station.start(job)
    assert process.finish() == 0
    assert "its time to drain was over" in process.said()
    assert station.written() == b""
    assert (station.state(job) / "completed").exists()
    assert not (station.state(job) / "draining").exists(), "the next time it drains, its time begins anew"


@pytest.mark.parametrize(("kind", "module"), [(FileStore, "file_store.reader"), (Worker, "worker.consumer")])
def test_a_producer_that_is_not_there_yet_may_be_one_that_is_being_started(
    station: Station, monkeypatch: pytest.MonkeyPatch, kind: type[Transports], module: str
) -> None:
    monkeypatch.setattr(drain, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(f"gitopsd.runner.transports.{module}.RESTART_SECONDS", 2.0)

    async def work(ends: Ends) -> None:
        source = await ends.input(kind(station).input("deliver"))
        began = time.monotonic()
        await drain.until_drained([source], Counts(), Reporter("o.deliver.0"), time.time() + PLENTY)
        assert time.monotonic() - began >= 2.0
        await source.close()

    run_ends(station, work)


def test_a_producer_of_a_worker_channel_that_has_come_and_gone_is_not_waited_for(
    station: Station, worker: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitopsd.runner.transports.worker.consumer.RESTART_SECONDS", PLENTY)

    async def work(ends: Ends) -> None:
        source = await ends.input(worker.input("deliver"))
        output = await ends.output(worker.output({"deliver": 1}))
        await becomes(source, True)
        await output.close()
        await end(ends.tasks)
        draining = drain.until_drained([source], Counts(), Reporter("o.deliver.0"), time.time() + PLENTY)
        await asyncio.wait_for(draining, DEADLINE)
        await source.close()

    run_ends(station, work)


def run_ends(station: Station, work: Callable[[Ends], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        ends = Ends(station)
        try:
            await work(ends)
        finally:
            await end(ends.tasks)

    asyncio.run(run())


def test_any_other_program_is_told_to_end_at_the_deadline(station: Station) -> None:
    station.describe("o.own.0", kind="once", command=["sleep", "600"], drain={"deadline_seconds": 0.5})
    process = station.start("o.own.0")
    assert process.finish() == 0
    assert "its time to drain is over" in process.said()
    assert (station.state("o.own.0") / "completed").exists()


@pytest.mark.usefixtures("quiet_soon")
def test_a_draining_job_that_is_stopped_is_not_done(station: Station, file_store: Transports) -> None:
    job = drains(
        station, "o.deliver.0", "write-files", {"path": str(station.root / "out")}, inputs=[file_store.input("deliver")]
    )
    process = station.start(job)
    until((station.root / "mnt/c/consumers/deliver").exists, process)
    assert process.stop() == 0
    assert not (station.state(job) / "completed").exists()
    began = (station.state(job) / "draining").read_text()
    process = station.start(job)
    assert process.finish() == 0
    assert float(began) > time.time()
