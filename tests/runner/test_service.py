"""What a service manager sees of a job."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import DEADLINE, events, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, station: Station) -> Iterator[socket.socket]:
    address = str(station.run / "notify") if request.param == "path" else f"\0gitopsd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(DEADLINE)
        station.environment["NOTIFY_SOCKET"] = address.replace("\0", "@")
        yield listener


def next_message(manager: socket.socket, beginning: str) -> str:
    while not (message := manager.recv(4096).decode()).startswith(beginning):
        continue
    return message


def test_a_job_says_when_it_is_ready_what_it_does_and_that_it_stops(
    station: Station, worker: Transports, manager: socket.socket
) -> None:
    endpoint = worker.input("deliver")
    process = station.start(station.writes([endpoint]))
    assert manager.recv(4096) == b"READY=1"
    assert (station.run / "s" / endpoint["socket"]).is_socket()  # ready means that producers may come
    producer = station.start(station.reads([worker.output({"deliver": 1})]), NOTIFY_SOCKET="")
    station.put("a", events(3))
    producer.finish()
    assert next_message(manager, "STATUS=") == "STATUS=0 events done, 0 under way"
    process.stop()
    assert next_message(manager, "STOPPING") == "STOPPING=1"


def test_a_job_that_cannot_start_is_never_ready(station: Station, worker: Transports, manager: socket.socket) -> None:
    (station.root / "out").rmdir()
    assert station.start(station.writes([worker.input("deliver")])).finish() == 1
    assert manager.recv(4096) == b"STOPPING=1"


def test_a_service_manager_that_is_gone_does_not_matter(station: Station, worker: Transports) -> None:
    process = station.start(station.writes([worker.input("deliver")]), NOTIFY_SOCKET="/nowhere/notify")
    until((station.run / "s" / worker.input("deliver")["socket"]).is_socket, process)
    assert process.stop() == 0


def cpu_ticks(process: Process) -> int:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_idle_jobs_use_next_to_no_cpu(station: Station, worker: Transports, file_store: Transports) -> None:
    """Processor time, not the clock's: of four jobs with nothing to do, in three seconds."""
    station.put("a", events(10))
    jobs = [
        station.reads([file_store.output({"deliver": 1})], mode="tail"),
        station.writes([file_store.input("deliver")]),
        station.writes([worker.input("second")], job="o.second.0"),
        station.runner("o.sink.0", "exec", {"command": ["cat"]}, inputs=[worker.input("third")]),
    ]
    running = [station.start(job) for job in jobs]
    until(lambda: station.written("o.deliver.0") == events(10), *running)
    until(lambda: sum(path.is_socket() for path in (station.run / "s").iterdir()) == 2, *running)
    time.sleep(2)  # until the polls have slowed down
    before = [cpu_ticks(process) for process in running]
    time.sleep(3)
    used = [cpu_ticks(process) - ticks for process, ticks in zip(running, before, strict=True)]
    assert max(used) * 1000 / os.sysconf("SC_CLK_TCK") <= 60, used  # 2 % of a processor
