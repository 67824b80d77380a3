"""A job that waits for somebody says so in its report and in its log, and says that it's over."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from gitopsd.runner.report import Reporter
from gitopsd.runner.waiting import LONGEST_MESSAGE, Waiting
from tests.cut_connections import Proxy
from tests.ports import free_port
from tests.runner.station import until

if TYPE_CHECKING:
    import pytest

    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports
    from tests.runner.transports.nats import Nats
    from tests.runner.transports.object_store import ObjectStore

JOB = "o.deliver.0"


def report(station: Station, job: str = JOB) -> dict[str, Any]:
    """What a job says; an empty one before it says anything."""
    path = station.run / "s" / f"{job}.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def away(station: Station, side: str, job: str = JOB) -> str:
    """What the one end on a side waits for; nothing where it doesn't."""
    (end,) = report(station, job).get(side, [{}])
    found = end.get("away")
    return str(found["message"]) if found else ""


def says_that_it_is_over(process: Process, words: str) -> bool:
    """Once, as far as it has come."""
    found = [line for line in process.said().splitlines() if f"{words} after " in line]
    assert len(found) <= 1, process.said()
    return bool(found) and found[0].endswith(" s")


def test_servers_of_nats_that_are_away_are_named_until_they_answer_again(station: Station, nats: Nats) -> None:
    consumer = station.start(station.writes([nats.input("deliver")]))
    until(lambda: report(station).get("ready") is True, consumer)
    assert away(station, "inputs") == ""
    nats.server.kill()
    until(lambda: away(station, "inputs").startswith("waiting for the NATS servers of c (nats://"), consumer)
    nats.server.start()
    until(lambda: away(station, "inputs") == "", consumer)
    assert says_that_it_is_over(consumer, f"the NATS servers of c ({nats.server.url}) answer again")


def test_a_job_that_is_not_ready_yet_says_so_and_what_it_waits_for(station: Station, nats: Nats) -> None:
    nats.server.kill()
    consumer = station.start(station.writes([nats.input("deliver")]))
    until(lambda: "Connect call failed" in away(station, "inputs"), consumer)
    assert report(station)["ready"] is False
    nats.server.start()
    until(lambda: report(station)["ready"] is True and not away(station, "inputs"), consumer)
    assert report(station)["pid"] == consumer.pid
    assert consumer.stop() == 0
    assert report(station)["ready"] is False


def test_a_consumer_that_is_away_is_named_until_it_answers_again(station: Station, worker: Transports) -> None:
    reader = station.start(station.reads([worker.output({"deliver": 1})], mode="tail"))
    until(lambda: away(station, "outputs", "o.collect.0").startswith("waiting for the consumer of c at "), reader)
    writer = station.start(station.writes([worker.input("deliver")]))
    until(lambda: away(station, "outputs", "o.collect.0") == "", reader, writer)
    assert says_that_it_is_over(reader, "the consumer of c answers again")


def test_a_store_that_is_away_is_named_until_it_answers_again(station: Station, object_store: ObjectStore) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    object_store.options = {"endpoint": endpoint}
    reader = station.start(station.writes([object_store.input("deliver")]))
    until(lambda: "Connection refused" in away(station, "inputs"), reader)
    proxy = Proxy(object_store.server.port, port)
    until(lambda: away(station, "inputs") == "", reader)
    until(lambda: says_that_it_is_over(reader, f"at {endpoint} answers again"), reader)
    proxy.close()


def test_an_idle_job_says_again_what_somebody_removed(station: Station, worker: Transports) -> None:
    """Where /tmp is cleaned: it would count as not ready for ever."""
    writer = station.start(station.writes([worker.input("deliver")]))
    until(lambda: report(station).get("ready") is True, writer)
    (station.run / "s" / f"{JOB}.json").unlink()
    until(lambda: report(station).get("ready") is True, writer)


def test_what_the_other_end_said_is_cut_and_made_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> None:
        waiting = Waiting(Reporter("o.a.0"), "c", "it answers again")
        waiting.end()
        waiting.begin("waiting: \x1b[31mred\nand more " + "x" * 9999, seconds=7)
        found = waiting.away()
        assert found is not None
        assert found.message.isprintable()
        assert len(found.message) == LONGEST_MESSAGE
        assert found.seconds >= 7
        waiting.end()
        waiting.end()
        assert waiting.away() is None

    asyncio.run(scene())
    assert capsys.readouterr().err.count("it answers again after 7 s") == 1


def test_what_works_in_one_way_and_not_in_another_is_still_waited_for() -> None:
    async def scene() -> None:
        waiting = Waiting(Reporter("o.a.0"), "c", "it answers again")
        waiting.begin("cannot put", "put")
        waiting.begin("cannot list", "list")
        waiting.end("put")
        found = waiting.away()
        assert found is not None
        assert found.message == "cannot list"

    asyncio.run(scene())


def test_a_job_that_is_refused_says_why_until_one_is_ready(station: Station, nats: Nats) -> None:
    nats.server.kill()
    nats.server.configure("authorization { users: [{user: gitopsd, password: another}] }")
    nats.server.start()
    job = station.writes([nats.input("deliver")])
    for _ in range(2):
        refused = station.start(job)
        assert refused.finish() == 1, refused.said()
        assert report(station)["error"].startswith("cannot use the channel c: ")
        assert "Authorization Violation" in report(station)["error"]
    nats.server.kill()
    nats.server.configure("")
    nats.server.start()
    consumer = station.start(job)
    until(lambda: "error" not in report(station), consumer)
    assert report(station)["ready"] is True
