"""What every transport owes to the jobs at its ends, over real processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.runner.station import events, numbers, until
from tests.runner.transports.file_store import FileStore
from tests.runner.transports.worker import Worker

if TYPE_CHECKING:
    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports


def test_every_event_arrives_byte_for_byte(every_python: Station, transport: Transports) -> None:
    station = every_python
    content = b'{"b": 1,  "a":"\xc3\xa9"}\n[1, 2]\n"text"\n{"big":"' + b"y" * 3_000_000 + b'"}\n' + events(50_000)
    station.put("a.jsonl", content)
    producer = station.start(station.reads([transport.output({"deliver": 1})]))
    consumer = station.start(station.writes([transport.input("deliver")]))
    assert producer.finish() == 0, producer.said()
    until(lambda: len(station.written()) >= len(content), consumer)
    assert consumer.stop() == 0
    assert station.written() == content


def test_every_consuming_step_gets_every_event(station: Station, transport: Transports) -> None:
    content = events(20_000)
    station.put("a.jsonl", content)
    first = station.start(station.writes([transport.input("first")], job="o.first.0"))
    second = station.start(station.writes([transport.input("second")], job="o.second.0"))
    producer = station.start(station.reads([transport.output({"first": 1, "second": 1})]))
    assert producer.finish() == 0, producer.said()
    until(lambda: len(station.written("o.first.0")) >= len(content), first)
    until(lambda: len(station.written("o.second.0")) >= len(content), second)
    assert station.written("o.first.0") == station.written("o.second.0") == content


def test_the_replicas_of_a_step_share_its_events(station: Station, transport: Transports) -> None:
    """Each event goes to one of them; where the producers have replicas as well, to the one beside its producer."""
    producers = [
        station.reads(
            [transport.output({"deliver": 2}, producer=f"o.collect.{number}", replica=number)],
            job=f"o.collect.{number}",
            glob=f"in/{number}/*",
        )
        for number in range(2)
    ]
    for number in range(2):
        (station.root / "in" / str(number)).mkdir()
        station.put(f"{number}/a.jsonl", events(100_000, start=number * 100_000, filler=180))
    jobs = [station.writes([transport.input("deliver", number, 2)], job=f"o.deliver.{number}") for number in range(2)]
    consumers = [station.start(job) for job in jobs]
    running = [station.start(job) for job in producers]
    assert [process.finish() for process in running] == [0, 0]
    until(lambda: len(station.lines()) >= 200_000, *consumers)
    assert sorted(numbers(station.lines())) == list(range(200_000))
    assert all(station.lines(job) for job in jobs)


def test_the_order_of_each_producer_is_kept(station: Station, transport: Transports) -> None:
    """Several producers on one channel, whose events interleave as they like."""
    producers = [f"o.collect.{number}" for number in range(3)]
    for number, job in enumerate(producers):
        (station.root / "in" / str(number)).mkdir()
        station.put(f"{number}/a.jsonl", events(20_000, start=number * 1_000_000))
        station.reads([transport.output({"deliver": 1}, producer=job)], job=job, glob=f"in/{number}/*")
    consumer = station.start(station.writes([transport.input("deliver")]))
    running = [station.start(job) for job in producers]
    assert [process.finish() for process in running] == [0, 0, 0]
    until(lambda: station.written().count(b"\n") >= 60_000, consumer)
    seen = numbers(station.lines())
    for number in range(3):
        start = number * 1_000_000
        assert [value for value in seen if start <= value < start + 1_000_000] == list(range(start, start + 20_000))


def test_a_producer_waits_for_a_consumer_that_comes_late(station: Station, transport: Transports) -> None:
    station.put("a.jsonl", events(1000))
    producer = station.start(station.reads([transport.output({"deliver": 1})]))
    if transport.durable:
        assert producer.finish() == 0
    consumer = station.start(station.writes([transport.input("deliver")]))
    assert producer.finish() == 0
    until(lambda: station.written() == events(1000), consumer)


def test_a_consumer_that_was_killed_gets_the_rest_when_it_is_back(station: Station, transport: Transports) -> None:
    station.put("a.jsonl", events(300_000))
    producer = station.start(station.reads([transport.output({"deliver": 1})]))
    job = station.writes([transport.input("deliver")])
    consumer = station.start(job)
    until(lambda: len(station.written()) > 0, consumer)
    consumer.kill()
    consumer.wait()
    consumer = station.start(job)
    assert producer.finish() == 0, producer.said()
    until(lambda: set(numbers(station.lines())) == set(range(300_000)), consumer)
    assert consumer.stop() == 0


def test_a_relay_moves_bytes_from_one_transport_to_another(station: Station, transport: Transports) -> None:
    other = FileStore(station) if transport.kind == "worker" else Worker(station)
    content = events(50_000)
    station.put("a.jsonl", content)
    relay = station.runner(
        "o.deliver-in-c.0",
        "relay",
        inputs=[transport.input("relay")],
        outputs=[other.output({"deliver": 1}, producer="o.deliver-in-c.0")],
    )
    processes = [station.start(relay), station.start(station.writes([other.input("deliver")]))]
    producer = station.start(station.reads([transport.output({"relay": 1})]))
    assert producer.finish() == 0, producer.said()
    until(lambda: len(station.written()) >= len(content), *processes)
    assert station.written() == content
    assert [process.stop() for process in processes] == [0, 0]


def test_a_job_that_is_told_to_stop_drains_and_exits_with_zero(station: Station, transport: Transports) -> None:
    """Everything that was taken in is acknowledged, so that nothing comes twice."""
    station.put("a.jsonl", events(2_000_000))
    read = station.reads([transport.output({"deliver": 1})])
    write = station.writes([transport.input("deliver")])
    patient = {"GITOPSD_STOP_SECONDS": "60"}  # however busy this machine is
    producer, consumer = station.start(read, **patient), station.start(write, **patient)
    until(lambda: len(station.written()) > 1_000_000, producer, consumer)
    producer.send_signal(signal.SIGTERM)
    assert producer.finish() == 0
    assert "stopped" in producer.said()
    assert "again" not in producer.said()
    assert not (station.state(read) / "completed").exists()
    producer = station.start(read)
    assert producer.finish() == 0
    until(lambda: station.written().count(b"\n") >= 2_000_000, consumer)
    assert consumer.stop() == 0
    assert numbers(station.lines()) == list(range(2_000_000))


def test_a_stopped_job_whose_consumer_is_away_gives_up_and_loses_nothing(station: Station, worker: Transports) -> None:
    station.put("a.jsonl", events(1000))
    read = station.reads([worker.output({"deliver": 1})])
    producer = station.start(read)
    until((station.root / "state" / read).is_dir, producer)
    until(lambda: "waiting" in producer.said(), producer)
    assert producer.stop() == 0
    assert "1000 will be delivered again" in producer.said()
    station.start(station.writes([worker.input("deliver")]))
    assert station.start(read).finish() == 0
    until(lambda: station.written() == events(1000))


def test_a_consumer_that_stands_still_costs_no_memory(station: Station, transport: Transports) -> None:
    """What it reads is relayed to a job that isn't there; a hundred megabytes wait in the channel, or before it."""
    block = events(5000, filler=180)
    station.put("a.jsonl", block * (100_000_000 // len(block)))
    away = Worker(station).output({"nobody": 1}, channel="away")
    relay = station.start(station.runner("o.relay.0", "relay", inputs=[transport.input("relay")], outputs=[away]))
    producer = station.start(station.reads([transport.output({"relay": 1})]))
    if transport.durable:
        assert producer.finish() == 0
    else:
        until(lambda: read_from(producer) > 8_000_000, producer, relay)
    until(lambda: "waiting for the consumer of away" in relay.said(), relay)
    running = [relay] if transport.durable else [relay, producer]
    seen: list[list[int]] = []

    def settled() -> bool:
        """For a second, that is fifty looks."""
        seen.append([peak_memory(process) for process in running])
        return len(seen) > 50 and seen[-1] == seen[-50]

    until(settled, *running)
    assert max(seen[-1]) < 100_000_000


def peak_memory(process: Process) -> int:
    """Bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def read_from(process: Process) -> int:
    """How many bytes the process has read; the runner reads at offsets, so the position of the file tells nothing."""
    counters = Path(f"/proc/{process.pid}/io").read_text()
    return int(counters.partition("rchar:")[2].split()[0])
