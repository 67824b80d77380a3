from __future__ import annotations

import json
import re
import time
import zlib
from typing import TYPE_CHECKING

import pytest

from gitopsd.runner.transports.file_store.cursors import replica_for
from tests.runner.station import Log, events, numbers, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports

NAME = re.compile(r"(\d{12})-(\d{15})-(\d+)-([0-9a-f]{8})\.jsonl")


def produce(
    station: Station, channel: Transports, content: bytes, name: str, steps: dict[str, int] | None = None, **more: int
) -> Process:
    """One run of the producer over one more file."""
    station.put(name, content)
    process = station.start(station.reads([{**channel.output(steps or {"deliver": 1}), **more}]))
    assert process.finish() == 0, process.said()
    return process


def segments(station: Station, producer: str = "o.collect.0") -> list[Path]:
    return sorted((station.root / "mnt" / "c" / "segments" / producer).glob("*.jsonl"))


def names(station: Station) -> list[tuple[int, int, int]]:
    """Sequence, first offset and count of every segment; checks the checksum, too."""
    found = []
    for path in segments(station):
        match = NAME.fullmatch(path.name)
        assert match is not None
        assert int(match[4], 16) == zlib.crc32(path.read_bytes())
        assert int(match[3]) == path.read_bytes().count(b"\n")
        found.append((int(match[1]), int(match[2]), int(match[3])))
    return found


def cursor(station: Station, step: str = "deliver", replica: int = 0) -> Path:
    return station.root / "mnt" / "c" / "consumers" / step / f"{replica}.json"


def test_segments_are_plain_lines_whose_names_say_what_they_hold(station: Station, file_store: Transports) -> None:
    produce(station, file_store, events(100_000), "a", segment_bytes=1_000_000)
    found = names(station)
    assert len(found) > 2
    assert [sequence for sequence, _, _ in found] == list(range(1, len(found) + 1))
    assert [first for _, first, _ in found] == [sum(count for _, _, count in found[:i]) for i in range(len(found))]
    assert b"".join(path.read_bytes() for path in segments(station)) == events(100_000)


def test_a_restarted_producer_goes_on_after_its_last_segment(station: Station, file_store: Transports) -> None:
    produce(station, file_store, events(10), "a")
    (station.root / "mnt" / "c" / "segments" / "o.collect.0" / ".writing").write_bytes(b'{"left by": "a crash')
    produce(station, file_store, events(5), "b")
    assert names(station) == [(1, 0, 10), (2, 10, 5)]


def test_an_idle_producer_seals_what_it_has(station: Station, file_store: Transports) -> None:
    log = Log(station.root / "in" / "a.log")
    process = station.start(station.reads([file_store.output({"deliver": 1})], mode="tail"))
    for number in range(3):
        log.add(events(1, start=number))
        until(lambda count=number + 1: sum(n for _, _, n in names(station)) == count, process)  # type: ignore[misc]
    assert process.stop() == 0


def test_replicas_share_the_segments_of_their_step(station: Station, file_store: Transports) -> None:
    produce(station, file_store, events(60_000), "a", {"deliver": 2}, segment_bytes=100_000)
    jobs = [station.writes([file_store.input("deliver", n, 2)], job=f"o.deliver.{n}") for n in range(2)]
    running = [station.start(job) for job in jobs]
    until(lambda: len(station.lines()) == 60_000, *running)
    shares = [numbers(station.lines(job)) for job in jobs]
    assert sorted(shares[0] + shares[1]) == list(range(60_000))
    assert all(share == sorted(share) and share for share in shares)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 3)])
def test_a_change_of_the_number_of_replicas_loses_and_repeats_nothing(
    station: Station, file_store: Transports, before: int, after: int
) -> None:
    """Also where one of the old replicas was behind the others."""
    produce(station, file_store, events(30_000), "a", {"deliver": before}, segment_bytes=100_000)
    for replica in range(before)[1:] if before > 1 else range(before):  # with several, the first is left behind
        process = station.start(
            station.writes([file_store.input("deliver", replica, before)], job=f"o.deliver.{replica}")
        )
        share = [
            path for path in segments(station) if replica_for(path.parent.name, int(path.name[:12]), before) == replica
        ]
        expected = sum(path.read_bytes().count(b"\n") for path in share)
        until(lambda job=f"o.deliver.{replica}", end=expected: len(station.lines(job)) == end, process)  # type: ignore[misc]
        assert process.stop() == 0
    produce(station, file_store, events(30_000, start=30_000), "b", {"deliver": after}, segment_bytes=100_000)
    running = [
        station.start(station.writes([file_store.input("deliver", replica, after)], job=f"o.deliver.{replica}"))
        for replica in range(after)
    ]
    until(lambda: set(numbers(station.lines())) == set(range(60_000)), *running)
    assert [process.stop() for process in running] == [0] * after
    assert len(station.lines()) == 60_000


def test_segments_that_every_step_has_done_are_removed_but_for_the_newest(
    station: Station, file_store: Transports
) -> None:
    output = file_store.output({"fast": 1, "slow": 1})
    log = Log(station.root / "in" / "a.log")
    producer = station.start(station.reads([output], mode="tail"))
    fast = station.start(station.writes([file_store.input("fast")], job="o.fast.0"))
    for number in range(4):
        log.add(events(1, start=number))
        until(lambda end=number + 1: len(station.lines("o.fast.0")) == end, producer, fast)  # type: ignore[misc]
    time.sleep(2.5)  # the producer looks after a second, and may find nothing to remove: the slow one has done none
    assert len(segments(station)) == 4
    slow = station.start(station.writes([file_store.input("slow")], job="o.slow.0"))
    until(lambda: len(segments(station)) == 1, producer, fast, slow)
    assert names(station) == [(4, 3, 1)]
    assert numbers(station.lines("o.slow.0")) == list(range(4))


def test_a_damaged_segment_fails_the_job_and_is_named(station: Station, file_store: Transports) -> None:
    produce(station, file_store, events(1000), "a")
    (path,) = segments(station)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"n":500', b'"n":501'))
    job = station.writes([file_store.input("deliver")])
    process = station.start(job)
    assert process.finish() == 1
    assert f"the segment {path} is damaged" in process.said()
    assert station.written() == b""
    path.write_bytes(content[:-10])
    process = station.start(job)
    assert process.finish() == 1
    assert "it holds 999 events" in process.said()
    path.write_bytes(content)
    process = station.start(job)
    until(lambda: station.written() == events(1000), process)


def test_a_torn_cursor_is_said_and_what_is_stored_comes_again(station: Station, file_store: Transports) -> None:
    produce(station, file_store, events(10), "a")
    job = station.writes([file_store.input("deliver")])
    process = station.start(job)
    until(lambda: len(station.lines()) == 10, process)
    assert process.stop() == 0
    cursor(station).write_text(cursor(station).read_text()[:50])
    process = station.start(job)
    until(lambda: len(station.lines()) == 20, process)
    assert "0.json is damaged" in process.said()
    assert process.stop() == 0
    assert json.loads(cursor(station).read_text())["producers"]["o.collect.0"]["done"] == [[1, 1]]


def test_numbers_that_consumers_know_are_not_used_again(station: Station, file_store: Transports) -> None:
    """Where somebody emptied the segments by hand, new ones must not look done."""
    for name in ("a", "b", "c"):
        produce(station, file_store, events(10), name)
    job = station.writes([file_store.input("deliver")])
    process = station.start(job)
    until(lambda: len(station.lines()) == 30, process)
    assert process.stop() == 0
    for path in segments(station):
        path.unlink()
    produce(station, file_store, events(10, start=100), "d")
    process = station.start(job)
    until(lambda: numbers(station.lines())[30:] == list(range(100, 110)), process)


def test_a_second_process_waits_while_another_writes_as_the_same_producer(
    station: Station, file_store: Transports
) -> None:
    """As when a job moves: it starts at its destination before it ends where it was."""
    log = Log(station.root / "in" / "a.log")
    job = station.reads([file_store.output({"deliver": 1})], mode="tail")
    first = station.start(job)
    log.add(events(10))
    until(lambda: len(segments(station)) == 1, first)
    second = station.start(job, STATE_DIRECTORY=str(station.root / "elsewhere"))
    until(lambda: "waiting: another process writes as o.collect.0" in second.said(), first, second)
    assert first.stop() == 0
    until(lambda: len(segments(station)) == 2, second)
    assert names(station) == [(1, 0, 10), (2, 10, 10)]
    assert second.stop() == 0


def test_two_segments_of_one_number_fail_the_job_and_are_named(station: Station, file_store: Transports) -> None:
    """What two processes did whom no lock kept apart: neither is skipped in silence."""
    produce(station, file_store, events(10), "a")
    (path,) = segments(station)
    (path.parent / f"000000000001-{0:015d}-1-{zlib.crc32(b'1' + bytes([10])):08x}.jsonl").write_bytes(b"1\n")
    process = station.start(station.writes([file_store.input("deliver")]))
    assert process.finish() == 1
    assert "two segments of one number" in process.said()


def test_a_store_below_a_directory_that_is_missing_fails_the_job(station: Station, file_store: Transports) -> None:
    """A mount that isn't there must not become a directory on the local disk."""
    (station.root / "mnt").rmdir()
    station.put("a", events(1))
    process = station.start(station.reads([file_store.output({"deliver": 1})]))
    assert process.finish() == 1
    assert f"cannot make the directory {station.root}/mnt/c: No such file or directory" in process.said()
    process = station.start(station.writes([file_store.input("deliver")]))
    assert process.finish() == 1


def test_a_cursor_goes_on_inside_a_segment(station: Station, file_store: Transports) -> None:
    produce(station, file_store, events(1000), "a")
    cursor(station).parent.mkdir(parents=True)
    offset = len(events(400))
    for value, first in ((offset, 400), (offset + 3, 0), (10**9, 0)):  # what is no line's start counts for nothing
        entry = {"done": [], "under_way": {"1": value}}
        cursor(station).write_text(json.dumps({"format": 1, "producers": {"o.collect.0": entry}}))
        before = len(station.lines())
        process = station.start(station.writes([file_store.input("deliver")]))
        until(lambda end=before + 1000 - first: len(station.lines()) >= end, process)  # type: ignore[misc]
        assert process.stop() == 0
        assert numbers(station.lines())[before:] == list(range(first, 1000))
