from __future__ import annotations

import fcntl
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import Log, events, numbers, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.runner.station import Station
    from tests.runner.transports.kind import Transports


def feed(station: Station, channel: Transports, content: bytes, name: str = "a") -> None:
    station.put(name, content)
    assert station.start(station.reads([channel.output({"deliver": 1})])).finish() == 0


def files(station: Station) -> list[str]:
    return sorted(path.name for path in (station.root / "out").iterdir())


def test_a_restarted_job_goes_on_in_its_newest_file(station: Station, file_store: Transports) -> None:
    job = station.writes([file_store.input("deliver")])
    for number in range(3):
        feed(station, file_store, events(10, start=number * 10), name=str(number))
        process = station.start(job)
        until(lambda end=number * 10 + 10: len(station.lines()) == end, process)  # type: ignore[misc]
        assert process.stop() == 0
    assert files(station) == ["o.deliver.0.000001.jsonl"]
    assert numbers(station.lines()) == list(range(30))


def test_a_torn_last_line_is_cut_off_at_the_next_start(every_python: Station, file_store: Transports) -> None:
    station = every_python
    whole = events(20_000, filler=50)
    (station.root / "out" / "o.deliver.0.000007.jsonl").write_bytes(whole + b'{"torn": "' + b"x" * 600_000)
    process = station.start(station.writes([file_store.input("deliver")]))
    until(lambda: "torn line of 600010 bytes" in process.said(), process)
    assert station.written() == whole
    feed(station, file_store, b'"next"\n')
    until(lambda: station.written() == whole + b'"next"\n', process)


def test_a_file_that_is_nothing_but_a_torn_line_becomes_empty(station: Station, file_store: Transports) -> None:
    (station.root / "out" / "o.deliver.0.000001.jsonl").write_bytes(b'{"torn')
    process = station.start(station.writes([file_store.input("deliver")]))
    until(lambda: "torn line" in process.said(), process)
    assert station.written() == b""


def test_files_are_rotated_by_size(station: Station, file_store: Transports) -> None:
    feed(station, file_store, events(40_000))
    process = station.start(station.writes([file_store.input("deliver")], rotate_bytes=600_000))
    until(lambda: station.written() == events(40_000), process)
    sizes = [(station.root / "out" / name).stat().st_size for name in files(station)]
    assert len(sizes) >= 3
    assert max(sizes) <= 600_000


def test_files_are_rotated_by_age(station: Station, worker: Transports) -> None:
    log = Log(station.root / "in" / "a.log")
    consumer = station.start(station.writes([worker.input("deliver")], rotate_seconds=1))
    producer = station.start(station.reads([worker.output({"deliver": 1})], mode="tail"))
    written = 0

    def rotated() -> bool:
        nonlocal written
        log.add(events(1, start=written))
        written += 1
        return len(files(station)) >= 3

    until(rotated, consumer, producer)
    until(lambda: numbers(station.lines()) == list(range(written)), consumer, producer)


def test_a_second_process_of_the_same_job_writes_a_file_of_its_own(station: Station, file_store: Transports) -> None:
    path = station.root / "out" / "o.deliver.0.000001.jsonl"
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'"half a li')
        feed(station, file_store, events(10))
        process = station.start(station.writes([file_store.input("deliver")]))
        until((station.root / "out" / "o.deliver.0.000002.jsonl").exists, process)
        until(lambda: station.written("o.deliver.0").endswith(events(10)), process)
        assert path.read_bytes() == b'"half a li'
        assert "another process of this job" in process.said()


def test_the_files_of_other_jobs_are_left_alone(station: Station, file_store: Transports) -> None:
    other = station.root / "out" / "o.deliver.1.000001.jsonl"
    other.write_bytes(b"torn")
    feed(station, file_store, events(1))
    process = station.start(station.writes([file_store.input("deliver")]))
    until(lambda: station.written("o.deliver.0") == events(1), process)
    assert other.read_bytes() == b"torn"


def test_a_directory_that_is_not_there_fails_the_job_and_names_the_way_out(
    station: Station, worker: Transports
) -> None:
    (station.root / "out").rmdir()
    process = station.start(station.writes([worker.input("deliver")]))
    assert process.finish() == 1
    assert process.said() == (
        f"o.deliver.0: cannot write to {station.root}/out: No such file or directory; create it, or correct the path in"
        " the workflow\n"
    )


@pytest.fixture
def small_disk(station: Station) -> Iterator[Path]:
    """A file system of 2 MiB at `out`."""
    path = station.root / "out"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield path
    finally:
        station.close()
        subprocess.run(["umount", path], check=True)


def test_a_full_disk_fails_the_job_clearly_and_nothing_is_lost(
    station: Station, file_store: Transports, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_700_000)
    content = events(20_000)  # more than what is left
    feed(station, file_store, content)
    job = station.writes([file_store.input("deliver")])
    process = station.start(job)
    assert process.finish() == 1
    assert "No space left on device; free some space; nothing is lost" in process.said()
    assert station.written() == b"" or station.written().endswith(b"\n")
    ballast.unlink()
    process = station.start(job)
    # What was written before the disk was full may come twice, but is whole.
    until(lambda: set(numbers(station.lines())) == set(range(20_000)), process)
    assert process.stop() == 0


def test_a_full_disk_under_a_file_store_loses_nothing(
    station: Station, file_store: Transports, small_disk: Path
) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 1_700_000)
    station.put("a", events(20_000))
    (station.root / "mnt" / "c").symlink_to(small_disk)
    job = station.reads([file_store.output({"deliver": 1})])
    process = station.start(job)
    assert process.finish() == 1
    assert "No space left on device" in process.said()
    (small_disk / "ballast").unlink()
    assert station.start(job).finish() == 0
    segments = sorted((small_disk / "segments" / "o.collect.0").glob("*.jsonl"))
    assert b"".join(path.read_bytes() for path in segments) == events(20_000)
