"""Kill -9 of every process at random points, seeded: nothing is lost, and what comes twice is bounded."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.runner.station import numbers, until

if TYPE_CHECKING:
    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports

EVENTS = 400_000
FILES = 4
ROUNDS = 12


def content(start: int, count: int) -> bytes:
    return b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 180) for n in range(start, start + count))


@pytest.mark.parametrize("seed", [1, 2])
def test_no_event_is_lost_whoever_is_killed(station: Station, transport: Transports, seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311 -- to repeat, not to hide
    share = EVENTS // FILES
    for number in range(FILES):
        station.put(f"{number}.log", content(number * share, share))
    jobs = {
        "producer": station.reads([transport.output({"shape": 1})], mode="tail"),
        "middle": station.runner(
            "o.shape.0",
            "relay",
            inputs=[transport.input("shape")],
            outputs=[transport.output({"deliver": 1}, producer="o.shape.0", channel="d")],
        ),
        "writer": station.writes([transport.input("deliver", channel="d")], rotate_bytes=20_000_000),
    }
    running: dict[str, Process] = {role: station.start(job) for role, job in jobs.items()}
    for _ in range(ROUNDS):
        time.sleep(choose.uniform(0.05, 0.6))
        role = choose.choice([*jobs, "server"])
        if role == "server":
            transport.kill_server()
            continue
        running[role].kill()
        running[role].wait()
        running[role] = station.start(jobs[role])
    until(lambda: _last_lines_arrived(station, share) and _complete(station), *running.values())
    assert all(process.stop() == 0 for process in running.values())
    seen = numbers(station.lines())  # every line is whole: json reads it
    assert set(seen) == set(range(EVENTS))
    assert len(seen) - EVENTS <= ROUNDS * transport.most_repeated


def _last_lines_arrived(station: Station, share: int) -> bool:
    """A cheap look before the whole one."""
    tails = [b'"n":%d,' % (number * share + share - 1) for number in range(FILES)]
    written = station.written()
    return all(tail in written for tail in tails)


def _complete(station: Station) -> bool:
    return len(set(numbers(station.lines()))) == EVENTS
