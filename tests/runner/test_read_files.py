from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import Log, events, numbers, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports


@pytest.fixture
def consumer(station: Station, worker: Transports) -> Process:
    return station.start(station.writes([worker.input("deliver")]))


def once(station: Station, worker: Transports, **settings: str) -> Process:
    """Read everything once, and return when it is delivered."""
    process = station.start(station.reads([worker.output({"deliver": 1})], **settings))
    process.finish()
    return process


def tail(station: Station, worker: Transports, glob: str = "in/*.log") -> str:
    return station.reads([worker.output({"deliver": 1})], glob=glob, mode="tail")


@pytest.mark.usefixtures("consumer")
class TestOnce:
    def test_bytes_stay_as_they_are_and_blank_lines_are_skipped(self, station: Station, worker: Transports) -> None:
        station.put("a", b'\xef\xbb\xbf\n{"a" : 1.0}\n\n\r\n  {"b":2}\r\n\n')
        station.put("b", b'{"last":"line without an end"}')
        assert once(station, worker).returncode == 0
        assert station.written() == b'{"a" : 1.0}\n  {"b":2}\r\n{"last":"line without an end"}\n'

    def test_files_are_read_in_the_order_of_their_names(self, station: Station, worker: Transports) -> None:
        for name in ("c", "a", "b"):
            station.put(name, f'"{name}"\n'.encode())
        once(station, worker)
        assert station.lines() == [b'"a"', b'"b"', b'"c"']

    def test_lines_become_events(self, station: Station, worker: Transports) -> None:
        station.put("a", b'plain "text"\n\n\xff\n')
        once(station, worker, format="lines")
        assert station.lines() == [b'{"line":"plain \\"text\\""}', b'{"line":""}', b'{"line_base64":"/w=="}']

    def test_csv_records_become_objects(self, station: Station, worker: Transports) -> None:
        station.put("a", b'name,text\r\nx,"two\r\nlines, ""quoted"""\r\ny,\r\n')
        once(station, worker, format="csv")
        assert [json.loads(line) for line in station.lines()] == [
            {"name": "x", "text": 'two\r\nlines, "quoted"'},
            {"name": "y", "text": ""},
        ]

    def test_what_was_delivered_is_not_delivered_again(self, station: Station, worker: Transports) -> None:
        station.put("a", events(10))
        once(station, worker)
        station.put("b", events(5, start=10))
        (station.root / "in" / "a").rename(station.root / "in" / "c")  # known by inode, so not read twice
        assert once(station, worker).returncode == 0
        assert numbers(station.lines()) == list(range(15))

    def test_a_file_that_only_looks_like_the_one_read_before_is_read(
        self, station: Station, worker: Transports
    ) -> None:
        """File systems give the inode of a removed file to the next one."""
        path = station.put("a", events(10))
        once(station, worker)
        with path.open("r+b") as file:
            file.write(events(10, start=50))
        once(station, worker)
        assert numbers(station.lines()) == [*range(10), *range(50, 60)]

    def test_damaged_positions_are_said_and_everything_is_read_again(
        self, station: Station, worker: Transports
    ) -> None:
        station.put("a", events(10))
        once(station, worker)
        positions = station.state("o.collect.0") / "positions.json"
        positions.write_text(positions.read_text()[:40])
        process = once(station, worker)
        assert process.returncode == 0
        assert "positions.json is damaged" in process.said()
        assert numbers(station.lines()) == [*range(10), *range(10)]

    def test_nothing_to_read_is_said_and_is_no_failure(self, station: Station, worker: Transports) -> None:
        process = once(station, worker, glob="in/*.none")
        assert process.returncode == 0
        assert "no file matches" in process.said()

    def test_directories_and_pipes_are_left_out(self, station: Station, worker: Transports) -> None:
        (station.root / "in" / "directory").mkdir()
        os.mkfifo(station.root / "in" / "pipe")
        station.put("z", events(1))
        assert once(station, worker).returncode == 0
        assert station.written() == events(1)

    def test_an_event_of_almost_16_mib_passes(self, station: Station, worker: Transports) -> None:
        content = b'"' + b"x" * ((16 << 20) - 3) + b'"\n'
        station.put("a", content)
        process = once(station, worker)
        assert process.returncode == 0, process.said()
        assert station.written() == content


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b'"x"\n\n"\xff"\n', "jsonl", "/in/a:3: the line is not UTF-8"),
        (b"1\n" * 300_000 + b"\xff\n", "jsonl", "/in/a:300001: the line is not UTF-8"),
        (b"1\n" + b"x" * (17 << 20), "jsonl", "/in/a:2: no event ends within 16 MiB"),
        (b"one,two\n1\n", "csv", "/in/a:2: the record has 1 fields, the header 2"),
        (b"x\n" + b"\x01" * (3 << 20) + b"\n", "lines", "/in/a:2: no event ends within 16 MiB"),
    ],
)
def test_what_cannot_become_an_event_fails_the_job_with_file_and_line(
    station: Station, worker: Transports, content: bytes, kind: str, said: str
) -> None:
    station.put("a", content)
    station.start(station.writes([worker.input("deliver")]))
    process = once(station, worker, format=kind)
    assert process.returncode == 1
    assert said in process.said()
    assert process.said().startswith("o.collect.0: ")
    assert "Traceback" not in process.said()


def test_a_directory_that_is_not_there_fails_the_job_and_names_the_way_out(
    station: Station, worker: Transports
) -> None:
    process = once(station, worker, glob="nowhere/*.jsonl", mode="tail")
    assert process.returncode == 1
    assert process.said() == (
        f"o.collect.0: cannot read {station.root}/nowhere: No such file or directory; create it, or correct the path in"
        " the workflow\n"
    )


def test_a_traceback_is_shown_to_who_asks_for_it(station: Station, worker: Transports) -> None:
    process = station.start(station.reads([worker.output({"deliver": 1})], glob="nowhere/*"), GITOPSD_DEBUG="1")
    assert process.finish() == 1
    assert "Traceback" in process.said()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_fails_the_job(station: Station, worker: Transports) -> None:
    station.put("a", events(1)).chmod(0)
    process = once(station, worker)
    assert process.returncode == 1
    assert "access to it" in process.said()


class TestTail:
    @pytest.fixture
    def log(self, station: Station) -> Log:
        return Log(station.root / "in" / "a.log")

    def test_lines_are_followed_and_an_unfinished_one_waits(
        self, every_python: Station, worker: Transports, consumer: Process, log: Log
    ) -> None:
        station = every_python
        log.add(b'"one"\n"tw')
        process = station.start(tail(station, worker))
        until(lambda: station.written() == b'"one"\n', process, consumer)
        log.add(b'o"\n')
        until(lambda: station.written() == b'"one"\n"two"\n', process)
        assert process.stop() == 0

    def test_a_pattern_that_matches_nothing_yet_is_waited_for(
        self, station: Station, worker: Transports, consumer: Process
    ) -> None:
        process = station.start(tail(station, worker))
        until(lambda: "no file matches" in process.said(), process)
        station.put("late.log", events(3))
        until(lambda: station.written() == events(3), process, consumer)

    def test_a_file_that_was_rotated_is_read_to_its_end_and_the_new_one_after(
        self, station: Station, worker: Transports, consumer: Process, log: Log
    ) -> None:
        log.add(events(10))
        process = station.start(tail(station, worker))
        until(lambda: len(station.lines()) == 10, process, consumer)
        log.add(events(10, start=10))
        late = log.file
        log.rename("a.log.1")
        log.add(events(10, start=20))
        until(lambda: sorted(numbers(station.lines())) == list(range(30)), process)
        assert late.closed

    def test_a_rotated_file_that_stays_quiet_ends_with_its_last_line(
        self, station: Station, worker: Transports, consumer: Process, log: Log
    ) -> None:
        station.hasten("roles/read_files/source.py", "ROTATED_SECONDS", 2.0)
        log.add(b'"whole"\n"torn"')
        process = station.start(tail(station, worker))
        until(lambda: station.written() == b'"whole"\n', process, consumer)
        log.path.unlink()
        until(lambda: station.written() == b'"whole"\n"torn"\n', process)

    def test_a_truncated_file_is_read_from_its_beginning(
        self, station: Station, worker: Transports, consumer: Process, log: Log
    ) -> None:
        log.add(events(100))
        process = station.start(tail(station, worker))
        until(lambda: len(station.lines()) == 100, process, consumer)
        os.truncate(log.path, 0)
        until(lambda: "became shorter" in process.said(), process)
        log.add(events(5, start=100))
        until(lambda: numbers(station.lines()) == list(range(105)), process)

    def test_what_was_rotated_while_nobody_read_is_read_after_a_restart(
        self, station: Station, worker: Transports, consumer: Process, log: Log
    ) -> None:
        log.add(events(10))
        job = tail(station, worker)
        process = station.start(job)
        until(lambda: len(station.lines()) == 10, process, consumer)
        assert process.stop() == 0
        log.add(events(10, start=10))
        log.rename("a.log.1")
        log.add(events(10, start=20))
        process = station.start(job)
        until(lambda: numbers(station.lines()) == list(range(30)), process, consumer)

    def test_a_restart_goes_on_where_it_was(
        self, station: Station, worker: Transports, consumer: Process, log: Log
    ) -> None:
        job = tail(station, worker)
        for start in range(0, 50, 10):
            log.add(events(10, start=start))
            process = station.start(job)
            until(lambda end=start + 10: len(station.lines()) >= end, process, consumer)  # type: ignore[misc]
            assert process.stop() == 0
        assert numbers(station.lines()) == list(range(50))

    def test_the_number_of_files_is_not_limited_by_the_soft_limit_of_open_files(
        self, station: Station, worker: Transports, consumer: Process, tmp_path: Path
    ) -> None:
        for number in range(1200):
            station.put(f"{number}.log", events(1, start=number))
        process = station.start(tail(station, worker))
        until(lambda: set(numbers(station.lines())) == set(range(1200)), process, consumer)
        assert tmp_path.exists()
