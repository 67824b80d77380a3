"""What only `object-store` channels have: objects, a bucket that may be away or refuse, workers that know nothing of
each other.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from gitopsd.runner.report import Reporter
from gitopsd.runner.settings import Settings
from gitopsd.runner.tasks import end
from gitopsd.runner.transports.object_store import faults, segments
from gitopsd.runner.transports.object_store.position import Position
from gitopsd.runner.transports.object_store.segments import Segment
from gitopsd.runner.transports.object_store.store import PAGE, Page, Store, Stored
from gitopsd.runner.transports.object_store.watch import Watch
from tests.cut_connections import Proxy
from tests.ports import free_port
from tests.runner.station import DEADLINE, Log, events, numbers, until
from tests.runner.transports.object_store import ObjectStore
from tests.s3_server import KEY, READER_KEY, S3Server, credentials, make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.runner.station import Process, Station


def produce(
    station: Station,
    channel: ObjectStore,
    content: bytes,
    name: str,
    steps: dict[str, int] | None = None,
    **more: object,
) -> Process:
    """One run of the producer over one more file."""
    station.put(name, content)
    process = station.start(station.reads([{**channel.output(steps or {"deliver": 1}), **more}]))
    assert process.finish() == 0, process.said()
    return process


def stored(channel: ObjectStore) -> dict[str, list[Segment]]:
    """By writer, the segments in the order of their keys."""
    found: dict[str, list[Segment]] = {}
    for key in channel.keys("segments/"):
        writer, _, name = key.rpartition("/")
        segment = Segment.parse(name)
        assert segment is not None
        found.setdefault(writer, []).append(segment)
    return found


def position(station: Station) -> int:
    """How far the producer has come in the one file that it reads."""
    path = station.state("o.collect.0") / "positions.json"
    return sum(one["offset"] for one in json.loads(path.read_text())["files"]) if path.exists() else 0


def test_an_object_is_compressed_lines_whose_name_says_what_it_holds(
    station: Station, object_store: ObjectStore
) -> None:
    produce(station, object_store, events(60_000), "a", segment_bytes=500_000)
    produce(station, object_store, events(10), "b", compression="none")
    content = object_store.objects("segments/")
    names = sorted(content)
    assert len(names) > 3
    assert all(re.fullmatch(r"o\.collect\.0/[0-9a-f]{8}/\d{12}-\d{15}-\d+-[0-9a-f]{8}\.jsonl(\.gz)?", n) for n in names)
    plain = {name: gzip.decompress(data) if name.endswith("gz") else data for name, data in content.items()}
    assert b"".join(plain[name] for name in names) == events(60_000) + events(10)
    ((_, found),) = stored(object_store).items()
    assert [segment.crc for segment in found] == [zlib.crc32(plain[name]) for name in names]
    assert [segment.first for segment in found] == [sum(s.events for s in found[:i]) for i in range(len(found))]
    assert object_store.objects("writers/").keys() == {f"{names[0].rpartition('/')[0]}.json"}


def test_a_number_is_never_used_twice_whenever_the_producer_is_killed(
    station: Station, object_store: ObjectStore
) -> None:
    """What was under way may still be stored after its process has ended."""
    log = Log(station.root / "in" / "a.log")
    job = station.reads([object_store.output({"deliver": 1})], mode="tail")
    highest = 0
    for run in range(3):
        process = station.start(job)
        log.add(events(10, start=run * 10))
        until(lambda: position(station) == log.path.stat().st_size, process)  # else its events come again, rightly
        process.kill()
        process.wait()
        ((_, found),) = stored(object_store).items()
        assert len(found) == run + 1
        assert found[-1].sequence > highest + 1 or not highest
        highest = found[-1].sequence
    assert [segment.first for segment in found] == [0, 10, 20]
    reader = station.start(station.writes([object_store.input("deliver")]))
    until(lambda: numbers(station.lines()) == list(range(30)), reader)
    assert "missing" not in reader.said()


def test_a_job_that_moved_writes_beside_what_the_old_one_still_writes(
    station: Station, object_store: ObjectStore
) -> None:
    """Its old worker may only be cut off: nobody can tell it to stop."""
    log = Log(station.root / "in" / "a.log")
    job = station.reads([object_store.output({"deliver": 1})], mode="tail")
    old = station.start(job)
    log.add(events(10))
    until(lambda: len(stored(object_store)) == 1, old)
    new = station.start(job, STATE_DIRECTORY=str(station.root / "elsewhere"))
    until(lambda: len(stored(object_store)) == 2, old, new)
    log.add(events(10, start=10))
    until(lambda: [len(found) for found in stored(object_store).values()] == [2, 2], old, new)
    reader = station.start(station.writes([object_store.input("deliver")]))
    until(lambda: sorted(numbers(station.lines())) == sorted([*range(20), *range(20)]), reader)
    assert [process.stop() for process in (old, new, reader)] == [0, 0, 0]


def test_a_second_process_with_one_state_waits(station: Station, object_store: ObjectStore) -> None:
    log = Log(station.root / "in" / "a.log")
    job = station.reads([object_store.output({"deliver": 1})], mode="tail")
    first = station.start(job)
    log.add(events(10))
    until(lambda: bool(stored(object_store)), first)
    second = station.start(job)
    until(lambda: "waiting: another process writes as o.collect.0" in second.said(), first, second)
    assert first.stop() == 0
    log.add(events(10, start=10))
    until(lambda: [len(found) for found in stored(object_store).values()] == [2], second)
    assert second.stop() == 0


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_a_change_of_the_number_of_replicas_loses_and_repeats_nothing(
    station: Station, object_store: ObjectStore, before: int, after: int
) -> None:
    """Also where one of the old replicas was behind the others."""
    produce(station, object_store, events(30_000), "a", {"deliver": before}, segment_bytes=100_000)
    behind = range(before)[1:] if before > 1 else range(before)  # with several, the first is left behind
    running = [
        station.start(station.writes([object_store.input("deliver", n, before)], job=f"o.deliver.{n}")) for n in behind
    ]
    until(lambda: len(station.lines()) > 0, *running)
    assert [process.stop() for process in running] == [0] * len(running)
    produce(station, object_store, events(30_000, start=30_000), "b", {"deliver": after}, segment_bytes=100_000)
    running = [
        station.start(station.writes([object_store.input("deliver", n, after)], job=f"o.deliver.{n}"))
        for n in range(after)
    ]
    until(lambda: set(numbers(station.lines())) == set(range(60_000)), *running)
    assert [process.stop() for process in running] == [0] * after
    assert len(station.lines()) == 60_000


def test_what_every_step_has_done_is_removed_and_a_new_step_begins_with_what_is_stored(
    station: Station, object_store: ObjectStore
) -> None:
    log = Log(station.root / "in" / "a.log")
    producer = station.start(station.reads([object_store.output({"fast": 1, "slow": 1})], mode="tail"))
    fast = station.start(station.writes([object_store.input("fast")], job="o.fast.0"))
    for number in range(3):
        log.add(events(1, start=number))
        until(lambda end=number + 1: len(station.lines("o.fast.0")) == end, producer, fast)  # type: ignore[misc]
    time.sleep(6)  # the producer looks after five seconds, and finds that the slow one has done none
    assert [len(found) for found in stored(object_store).values()] == [3]
    slow = station.start(station.writes([object_store.input("slow")], job="o.slow.0"))
    until(lambda: not stored(object_store), producer, fast, slow)
    assert numbers(station.lines("o.slow.0")) == list(range(3))
    log.add(events(1, start=3))
    until(lambda: len(station.lines("o.slow.0")) == 4, producer, slow)
    late = station.start(station.writes([object_store.input("late")], job="o.late.0"))
    until(lambda: numbers(station.lines("o.late.0")) == [3], producer, late)
    assert "missing" not in late.said()


def test_what_a_process_that_died_left_to_remove_is_removed_by_the_next(
    station: Station, object_store: ObjectStore
) -> None:
    """Between the manifest, which says what is removed, and the removal."""
    produce(station, object_store, events(10), "a")
    ((writer, (segment,)),) = stored(object_store).items()
    reader = station.start(station.writes([object_store.input("deliver")]))
    until(lambda: len(station.lines()) == 10, reader)
    assert reader.stop() == 0
    manifest = json.dumps({"format": 1, "first": segment.sequence + 1, "first_event": 10})
    object_store.put(f"writers/{writer}.json", manifest.encode())
    Log(station.root / "in" / "b.log")
    producer = station.start(station.reads([object_store.output({"deliver": 1})], mode="tail"))
    until(lambda: not stored(object_store), producer)
    assert producer.stop() == 0


def test_a_damaged_object_stops_the_job_and_is_named(station: Station, object_store: ObjectStore) -> None:
    produce(station, object_store, events(1000), "a")
    ((key, content),) = object_store.objects("segments/").items()
    job = station.writes([object_store.input("deliver")])
    lines = gzip.decompress(content)
    for damaged, why in (
        (gzip.compress(lines.replace(b'"n":500', b'"n":501')), "its name says 1000 with"),
        (gzip.compress(lines[:-1]), "it holds 999 events"),
        (content[:-20], "it ends early"),
        (b"not gzip" + content, "incorrect header check"),
        (gzip.compress(b" " * (segments.MOST_BYTES + 1)), "it holds more than any producer puts"),
    ):
        object_store.put(f"segments/{key}", damaged)
        process = station.start(job)
        assert process.finish() == 1
        assert f"{key} is damaged: " in process.said()
        assert why in process.said()
    assert station.written() == b""
    object_store.put(f"segments/{key}", content)
    process = station.start(job)
    until(lambda: station.written() == events(1000), process)


def test_objects_that_somebody_removed_are_said_to_be_missing(station: Station, object_store: ObjectStore) -> None:
    for number in range(3):
        produce(station, object_store, events(10, start=10 * number), str(number))
    removed = sorted(object_store.objects("segments/"))[1]
    object_store.remove(f"segments/{removed}")
    reader = station.start(station.writes([object_store.input("deliver")]))
    until(lambda: len(station.lines()) == 20, reader)
    assert "10 events of o.collect.0/" in reader.said()
    assert "are missing in s3://events/" in reader.said()


def test_two_objects_of_one_number_fail_the_job_and_are_named(station: Station, object_store: ObjectStore) -> None:
    produce(station, object_store, events(10), "a")
    ((key, content),) = object_store.objects("segments/").items()
    object_store.put(f"segments/{key.replace('-10-', '-11-')}", content)
    process = station.start(station.writes([object_store.input("deliver")]))
    assert process.finish() == 1
    assert "two segments of one number" in process.said()


def test_a_torn_cursor_is_said_and_what_is_stored_comes_again(station: Station, object_store: ObjectStore) -> None:
    produce(station, object_store, events(10), "a", {"deliver": 1, "other": 1})
    job = station.writes([object_store.input("deliver")])
    process = station.start(job)
    until(lambda: len(station.lines()) == 10, process)
    assert process.stop() == 0
    object_store.put("consumers/deliver/0.json", b'{"format": 1, "prod')
    process = station.start(job)
    until(lambda: len(station.lines()) == 20, process)
    assert "0.json is damaged" in process.said()


def test_a_key_that_may_not_write_is_said_once_and_never_shown(station: Station, object_store: ObjectStore) -> None:
    for content, why in (
        (credentials(READER_KEY), "AccessDenied: "),
        (credentials((KEY[0], "another-secret")), "SignatureDoesNotMatch: "),
        (credentials(("nobody", "another-secret")), "InvalidAccessKeyId: "),
        ("aws_access_key_id = only-this\n", "the secret s3 holds no access key"),
        ("another-secret: [\n", "the secret s3 holds no access key"),
        ("[another-secret\n", "the secret s3 can't be understood"),
    ):
        object_store.secret("s3", content)
        station.put("a", events(10))
        process = station.start(station.reads([object_store.output({"deliver": 1})]))
        assert process.finish() == 1, content
        assert why in process.said()
        assert process.said().count(why) == 1
        assert "secret-value" not in process.said()
        assert "another-secret" not in process.said()


def test_a_bucket_that_is_not_there_fails_the_job(station: Station, object_store: ObjectStore) -> None:
    process = station.start(station.writes([{**object_store.input("deliver"), "bucket": "another"}]))
    assert process.finish() == 1
    assert "NoSuchBucket" in process.said()
    assert "make the bucket, or correct `bucket`" in process.said()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server(tmp_path / "s3")
    yield server
    server.close()


@pytest.fixture
def own_store(station: Station, own_server: S3Server) -> Iterator[ObjectStore]:
    made = ObjectStore(station, server=own_server)
    yield made
    made.close()


def test_a_store_that_is_away_at_the_start_is_waited_for(station: Station, object_store: ObjectStore) -> None:
    channel, port = object_store, free_port()
    channel.options = {"endpoint": f"http://127.0.0.1:{port}"}
    station.put("a", events(1000))
    producer = station.start(station.reads([channel.output({"deliver": 1})]))
    reader = station.start(station.writes([channel.input("deliver")]))
    until(lambda: "Connection refused" in producer.said() and "Connection refused" in reader.said(), producer, reader)
    proxy = Proxy(channel.server.port, port)
    until(lambda: station.written() == events(1000), reader)
    assert producer.finish() == 0
    assert producer.said().count("Connection refused") == 1
    proxy.close()


def test_a_store_that_hangs_holds_back_its_producer_and_a_stop_by_seconds_only(
    station: Station, own_server: S3Server, own_store: ObjectStore
) -> None:
    station.hasten("transports/object_store/client.py", "READ_SECONDS", 3.0)
    channel = own_store
    own_server.start()
    own_server.wait()
    log = Log(station.root / "in" / "a.log")
    producer = station.start(station.reads([channel.output({"deliver": 1})], mode="tail"))
    log.add(events(10))
    until(lambda: bool(stored(channel)), producer)
    own_server.hang()
    log.add(events(10, start=10))
    until(lambda: "waiting: cannot put s3://events/" in producer.said(), producer)
    assert producer.stop() == 0
    assert "10 will be delivered again" in producer.said()


def test_a_store_with_a_certificate_of_ones_own_authority_is_trusted_by_that_only(
    station: Station, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    server = S3Server(tmp_path / "s3", tls=(certificate, key))
    try:
        server.start()
        server.wait()
        channel = ObjectStore(station, server=server)
        station.put("a", events(1000))
        process = station.start(station.reads([channel.output({"deliver": 1})]))
        assert process.finish() == 1
        assert "its certificate isn't trusted: self-signed certificate; let `authority`" in process.said()
        channel.secret("authority", certificate.read_text())
        channel.options["authority"] = "authority"
        named = {**channel.output({"deliver": 1}), "endpoint": server.endpoint.replace("127.0.0.1", "localhost")}
        process = station.start(station.reads([named]))
        assert process.finish() == 1
        assert "its certificate is for another name: hostname 'localhost' doesn't match '127.0.0.1'" in process.said()
        produce(station, channel, events(1000), "a")
        reader = station.start(station.writes([channel.input("deliver")]))
        until(lambda: station.written() == events(1000), reader)
        channel.close()
    finally:
        server.close()


def test_a_clock_that_is_wrong_is_said_with_the_time_of_the_store() -> None:
    fault = faults.fault_of(
        ClientError(
            {
                "Error": {"Code": "RequestTimeTooSkewed", "Message": "The difference is too large."},
                "ResponseMetadata": {
                    "HTTPStatusCode": 403,
                    "HTTPHeaders": {"date": "Mon, 30 Nov 2026 12:00:00 GMT"},
                    "HostId": "",
                    "RequestId": "",
                    "RetryAttempts": 0,
                },
            },
            "PutObject",
        )
    )
    assert fault.lasts
    assert "its clock says 2026-11-30T12:00:00+00:00" in fault.message
    assert "set this worker's clock" in fault.message


@pytest.mark.parametrize(("status", "lasts"), [(500, False), (503, False), (429, False), (408, False), (400, True)])
def test_what_a_store_answers_is_waited_out_where_that_helps(status: int, lasts: bool) -> None:
    response = {"Error": {"Code": "Odd"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert faults.fault_of(ClientError(response, "PutObject")).lasts is lasts


class Bucket(Store):
    """Answers from memory, and counts what it lists."""

    def __init__(self) -> None:
        super().__init__(Settings({"bucket": "b", "prefix": ""}, "end"), Reporter("j"))
        self.objects: dict[str, bytes] = {}
        self.listed = 0

    async def page(self, folder: str, *, after: str = "", limit: int = PAGE) -> Page:
        keys = sorted(key for key in self.objects if key.startswith(folder) and key > after)
        self.listed += len(keys[:limit])
        now = datetime.now(UTC)
        return Page([Stored(key, str(len(self.objects[key])), now) for key in keys[:limit]], len(keys) <= limit, now)

    async def get(self, key: str) -> bytes | None:
        return self.objects.get(key)


def test_a_reader_that_looks_anew_sees_writers_that_have_just_begun_and_those_that_ended() -> None:
    """By itself it looks for them every 15 s only, and what one that has ended wrote must count before it has."""

    async def work() -> None:
        bucket = Bucket()
        position = Position(bucket, "step", "0", Reporter("j"))
        watch = Watch(bucket, position, Reporter("j"), seconds=0.01, is_ours=lambda _writer, _sequence: True)
        await watch.begin()
        assert not await watch.look_anew()
        bucket.objects[f"segments/p/w/{Segment(1, 0, 5, 0, compressed=True).name}"] = b""
        bucket.objects["writers/p/w.json"] = b'{"first": 1, "first_event": 0}'
        assert await watch.look_anew()
        assert watch.undone_events() == 5
        bucket.objects[f"segments/p/w/{Segment(2, 5, 5, 0, compressed=True).name}"] = b""
        bucket.objects["writers/p/w.json"] = b'{"first": 1, "first_event": 0, "ended": true}'
        assert not await watch.look_anew()
        assert watch.undone_events() == 10

    asyncio.run(work())


def test_what_is_ours_is_found_however_much_is_stored_before_it() -> None:
    """Of a channel that keeps what is done; a reader that drains must not take the first page for all there is."""

    async def work() -> None:
        bucket = Bucket()
        for sequence in range(1, 2 * PAGE + 1):
            bucket.objects[f"segments/p/w/{Segment(sequence, sequence, 1, 0, compressed=True).name}"] = b""
        bucket.objects["writers/p/w.json"] = b'{"first": 1, "first_event": 0}'
        position = Position(bucket, "step", "0", Reporter("j"))
        last = 2 * PAGE
        watch = Watch(bucket, position, Reporter("j"), seconds=0.01, is_ours=lambda _writer, sequence: sequence == last)
        await watch.begin()
        assert watch.undone_events() == 1

    asyncio.run(work())


def test_a_reader_lists_what_is_new_and_nothing_twice() -> None:
    """So what it costs grows with the new objects, not with those that a slower step still needs."""
    bucket = Bucket()

    def put(*sequences: int) -> None:
        for number in sequences:
            bucket.objects[f"segments/p/w/{Segment(number, number - 1, 1, 0, compressed=True).name}"] = b""

    async def work() -> None:
        position = Position(bucket, "step", "0", Reporter("j"))
        watch = Watch(bucket, position, Reporter("j"), seconds=0.01, is_ours=lambda _writer, _sequence: True)
        bucket.objects["writers/p/w.json"] = b'{"first": 1, "first_event": 0}'
        put(*range(1, 2501))
        await watch.begin()
        running = asyncio.ensure_future(watch.run(asyncio.ensure_future(asyncio.sleep(0))))
        for sequence in range(1, 2501):
            found = await asyncio.wait_for(watch.next(), DEADLINE)
            assert found.segment.sequence == sequence
            position.finish(found.writer, found.lowest, sequence)
            watch.forget(found)
        put(2501, 2505)
        last = [await asyncio.wait_for(watch.next(), DEADLINE) for _ in range(2)]
        assert [(found.segment.sequence, found.lowest) for found in last] == [(2501, 2501), (2505, 2502)]
        assert watch.undone_events() == 2
        writers = sum(1 for key in bucket.objects if key.startswith("writers/"))
        assert bucket.listed < 2502 + 200 * writers, "each segment once, and a manifest now and then"
        await end([running])

    asyncio.run(work())
