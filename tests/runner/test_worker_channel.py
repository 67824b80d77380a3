from __future__ import annotations

import asyncio
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitopsd.runner.errors import JobError
from gitopsd.runner.job import Context, Job
from gitopsd.runner.report import Reporter
from gitopsd.runner.settings import Settings
from gitopsd.runner.transports.worker.consumer import WorkerInput
from tests.runner.station import DEADLINE, Log, events, numbers, until

if TYPE_CHECKING:
    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports

SMALL = 256 * 1024 * 1024


def listening(station: Station, worker: Transports) -> tuple[Process, Path]:
    endpoint = worker.input("deliver")
    process = station.start(station.writes([endpoint]))
    path = station.run / "s" / endpoint["socket"]
    until(lambda: answers(path), process)
    return process, path


def answers(path: Path) -> bool:
    """A socket is there a moment before anybody listens at it."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def connect(path: Path, greeting: bytes = b"gitopsd-channel/1 c o.other.0\n") -> tuple[socket.socket, bytes]:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(path))
    connection.sendall(greeting)
    return connection, connection.recv(1000)


def frame(sequence: int, lines: bytes) -> bytes:
    return struct.pack(">IQ", len(lines), sequence) + lines


def test_the_wire_is_as_documented(every_python: Station, worker: Transports) -> None:
    station = every_python
    process, path = listening(station, worker)
    connection, answer = connect(path)
    assert answer == b"ok\n"
    connection.sendall(frame(1, b"1\n2\n") + frame(2, b"3\n"))
    acknowledged = 0
    while acknowledged < 2:
        (acknowledged,) = struct.unpack(">Q", connection.recv(8, socket.MSG_WAITALL))
    assert station.written() == b"1\n2\n3\n"
    assert process.stop() == 0
    assert not path.exists()


def test_a_producer_keeps_to_the_wire_and_sends_again_what_was_not_acknowledged(
    station: Station, worker: Transports
) -> None:
    station.put("a", events(3))
    endpoint = worker.output({"deliver": 1})
    path = station.run / "s" / endpoint["sockets"][0]
    path.parent.mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    server.settimeout(DEADLINE)
    process = station.start(station.reads([endpoint]))
    for attempt in range(3):
        connection, _ = server.accept()
        connection.settimeout(DEADLINE)
        stream = connection.makefile("rwb", buffering=0)
        assert stream.readline() == b"gitopsd-channel/1 c o.collect.0\n"
        stream.write(b"ok\n")
        length, sequence = struct.unpack(">IQ", connection.recv(12, socket.MSG_WAITALL))
        assert (sequence, connection.recv(length, socket.MSG_WAITALL)) == (1, events(3))
        if attempt == 2:
            stream.write(struct.pack(">Q", 1))
            assert process.finish() == 0
        stream.close()
        connection.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"gitopsd-channel/2 c o.other.0\n",
        b"gitopsd-channel/1 c\n",
        b"\xff" * 2000 + b"\n",
        b"x" * 3_000_000,
    ],
)
def test_a_peer_that_does_not_speak_the_protocol_is_refused(
    station: Station, worker: Transports, garbage: bytes
) -> None:
    process, path = listening(station, worker)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(path))
    answer = b""
    try:
        connection.sendall(garbage)
        answer = connection.recv(1000)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it had heard enough
    assert answer in (b"refused this end speaks gitopsd-channel/1\n", b"")
    _, answer = connect(path)
    assert answer == b"ok\n"  # the others are not harmed
    assert process.stop() == 0


def test_another_channel_is_refused(station: Station, worker: Transports) -> None:
    _, path = listening(station, worker)
    _, answer = connect(path, b"gitopsd-channel/1 d o.other.0\n")
    assert answer == b"refused this is the channel c, not d\n"


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack(">IQ", 0, 1),
        struct.pack(">IQ", (16 << 20) + 1, 1),
        frame(1, b"no newline"),
        frame(1, b"1\n") + frame(3, b"3\n"),
        b"\xff" * 100,
    ],
)
def test_frames_that_make_no_sense_end_their_connection_only(
    station: Station, worker: Transports, garbage: bytes
) -> None:
    process, path = listening(station, worker)
    good, _ = connect(path)
    bad, answer = connect(path)
    assert answer == b"ok\n"
    bad.sendall(garbage)
    while bad.recv(8):
        continue  # an acknowledgement of what came before; then the end
    assert "closed a connection" in process.said()
    good.sendall(frame(1, b'"good"\n'))
    assert good.recv(8, socket.MSG_WAITALL) == struct.pack(">Q", 1)
    assert b'"good"' in station.lines()


def test_a_stale_socket_is_replaced(station: Station, worker: Transports) -> None:
    process, path = listening(station, worker)
    process.kill()
    process.wait()
    assert path.is_socket()
    station.put("a", events(10))
    again = station.start(station.writes([worker.input("deliver")]))
    assert station.start(station.reads([worker.output({"deliver": 1})])).finish() == 0
    until(lambda: station.written() == events(10), again)


def test_a_socket_that_another_process_answers_is_not_taken_over(station: Station, worker: Transports) -> None:
    first, path = listening(station, worker)
    second = station.start(station.writes([worker.input("deliver")], job="o.deliver.1"))
    assert second.finish() == 1
    assert f"another process listens at {path}; stop it, or wait until it has ended" in second.said()
    assert connect(path)[1] == b"ok\n"
    assert first.stop() == 0


def test_of_two_processes_that_start_at_once_one_listens_and_the_other_one_fails(station: Station) -> None:
    """Each has found nobody there a moment before."""
    path = station.run / "socket"
    job = Job("o.deliver.0", "write-files", Settings({}, "with"), {}, {}, station.root, station.run)
    context = Context(job, lambda work: work.close(), Reporter(job.name))

    class Late(WorkerInput):
        async def _remove_stale(self) -> None:
            pass

    async def scene() -> None:
        first, second = (Late(path, "c", context) for _ in range(2))
        await first.open()
        with pytest.raises(JobError, match=r"cannot listen at .*Address already in use"):
            await second.open()
        assert answers(path)
        await second.close()
        assert answers(path)
        await first.close()

    asyncio.run(scene())
    assert not path.exists()


def test_a_run_directory_with_too_long_a_name_is_refused(station: Station, worker: Transports) -> None:
    process = station.start(station.writes([worker.input("deliver")]), GITOPSD_RUN="/tmp/" + "x" * 100)
    assert process.finish() == 1
    assert "is longer than 107 bytes; choose a shorter run directory" in process.said()


def test_two_producers_of_one_name_are_both_heard(station: Station, worker: Transports) -> None:
    _, path = listening(station, worker)
    connections = [connect(path)[0] for _ in range(2)]
    for number, connection in enumerate(connections):
        connection.sendall(frame(1, b"%d\n" % number))
        assert connection.recv(8, socket.MSG_WAITALL) == struct.pack(">Q", 1)
    assert sorted(station.lines()) == [b"0", b"1"]


def resident_bytes(process: Process) -> int:
    pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


def test_a_consumer_that_does_not_read_bounds_the_memory_of_its_producer(station: Station, worker: Transports) -> None:
    """200 MB wait in a file, and stay there."""
    station.put("a", events(1_000_000, filler=180))
    endpoint = worker.output({"deliver": 1})
    path = station.run / "s" / endpoint["sockets"][0]
    path.parent.mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    server.settimeout(DEADLINE)
    process = station.start(station.reads([endpoint]))
    connection, _ = server.accept()
    connection.sendall(b"ok\n")
    until(lambda: _read_so_far(process) >= 8 << 20, process)
    assert _read_in_all(process) < 16 << 20
    assert resident_bytes(process) < 64 << 20
    assert process.stop() == 0


def _read_in_all(*processes: Process) -> int:
    """What they have read once they read no more."""
    before = -1
    while (now := sum(_read_so_far(process) for process in processes)) != before:
        before = now
        time.sleep(0.3)
    return before


def _read_so_far(process: Process) -> int:
    """Bytes that a process has read from anywhere."""
    lines = Path(f"/proc/{process.pid}/io").read_text(encoding="ascii").splitlines()
    return int(lines[0].split()[1])


def test_producers_that_are_faster_than_their_consumer_bound_its_memory(station: Station, worker: Transports) -> None:
    """The consumer's own consumer is a filter that reads nothing."""
    content = events(200_000, filler=180)
    for number in range(4):
        (station.root / "in" / str(number)).mkdir()
        station.put(f"{number}/a", content)
    job = station.runner("o.stuck.0", "exec", {"command": ["sleep", "600"]}, inputs=[worker.input("stuck")])
    stuck = station.start(job)
    producers = [
        station.start(station.reads([worker.output({"stuck": 1})], job=f"o.collect.{number}", glob=f"in/{number}/*"))
        for number in range(4)
    ]
    until(lambda: all(_read_so_far(process) >= 8 << 20 for process in producers), stuck, *producers)
    _read_in_all(*producers)
    assert resident_bytes(stuck) < 80 << 20
    assert stuck.stop() == 0


def test_a_consumer_that_restarts_is_found_again(station: Station, worker: Transports) -> None:
    log = Log(station.root / "in" / "a.log")
    producer = station.start(station.reads([worker.output({"deliver": 1})], mode="tail"))
    job = station.writes([worker.input("deliver")])
    for number in range(3):
        consumer = station.start(job)
        log.add(events(10, start=number * 10))
        until(lambda end=number * 10 + 10: len(station.lines()) >= end, producer, consumer)  # type: ignore[misc]
        assert consumer.stop() == 0
    assert numbers(station.lines()) == list(range(30))
