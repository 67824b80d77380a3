"""What a job says of the events that pass it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

from tests.runner.station import events, until

if TYPE_CHECKING:
    from tests.runner.station import Station
    from tests.runner.transports.kind import Transports


def said(station: Station, job: str) -> dict[str, Any]:
    """What a job says; an empty one before it says anything."""
    path = station.run / "s" / f"{job}.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def test_events_and_bytes_are_counted_at_both_ends_of_a_channel(station: Station, worker: Transports) -> None:
    content = events(1000)
    station.put("a", content)
    writer = station.start(station.writes([worker.input("deliver")]))
    reader = station.start(station.reads([worker.output({"deliver": 1})]))
    assert reader.finish() == 0, reader.said()
    until(lambda: said(station, "o.deliver.0").get("done") == 1000, writer)
    assert writer.stop() == 0
    (out,), (into,) = said(station, "o.collect.0")["outputs"], said(station, "o.deliver.0")["inputs"]
    assert (out["events"], out["bytes"]) == (into["events"], into["bytes"]) == (1000, len(content))
    assert (out["port"], into["done"], into["stalled"]) == ("default", 1000, 0)
    assert said(station, "o.collect.0")["pid"] == reader.pid


def test_what_waits_in_a_store_is_told_by_the_step_that_it_waits_for(
    station: Station, file_store: Transports, worker: Transports
) -> None:
    station.put("a", events(500))
    reader = station.start(station.reads([file_store.output({"hand-on": 1})]))
    assert reader.finish() == 0, reader.said()
    job = "o.hand-on.0"
    station.runner(job, "relay", inputs=[file_store.input("hand-on")], outputs=[worker.output({"deliver": 1})])
    relay = station.start(job)

    def end() -> dict[str, Any]:
        found: dict[str, Any] = said(station, job).get("inputs", [{}])[0]
        return found

    until(lambda: end().get("waiting") == 500 and end()["stalled"] > 0, relay)  # nobody listens at the other end
    station.start(station.writes([worker.input("deliver")]))
    until(lambda: (end()["waiting"], end()["done"], end()["stalled"]) == (0, 500, 0), relay)


def test_a_producer_says_that_it_waits_for_room(station: Station, worker: Transports) -> None:
    writer = station.start(station.writes([worker.input("deliver")]))
    until(lambda: bool(said(station, "o.deliver.0")), writer)
    writer.send_signal(signal.SIGSTOP)
    station.put("a", events(100_000, filler=200))  # more than the window of a channel and all buffers in between
    reader = station.start(station.reads([worker.output({"deliver": 1})]))
    until(lambda: said(station, "o.collect.0").get("outputs", [{}])[0].get("blocked", 0) > 0, reader)
    writer.send_signal(signal.SIGCONT)
    assert reader.finish() == 0, reader.said()
    assert said(station, "o.collect.0")["outputs"][0]["blocked"] == 0


def test_a_producer_says_that_nothing_of_what_it_gave_is_safe(station: Station, worker: Transports) -> None:
    station.put("a", events(10))
    reader = station.start(station.reads([worker.output({"deliver": 1})]))

    def end() -> dict[str, Any]:
        found: dict[str, Any] = said(station, "o.collect.0").get("outputs", [{}])[0]
        return found

    until(lambda: end().get("events") == 10 and end()["blocked"] > 0, reader)  # nobody listens at the other end
    station.start(station.writes([worker.input("deliver")]))
    assert reader.finish() == 0, reader.said()
    assert end()["blocked"] == 0


def test_a_place_that_cannot_be_written_does_not_stop_the_job(station: Station, file_store: Transports) -> None:
    (station.run / "s").parent.mkdir(parents=True, exist_ok=True)
    (station.run / "s").write_text("a file where the folder belongs")
    station.put("a", events(10))
    reader = station.start(station.reads([file_store.output({"deliver": 1})]))
    assert reader.finish() == 0, reader.said()
    assert "cannot write" in reader.said()
