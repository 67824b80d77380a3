"""What a hop over NATS costs: a million events from a file to files, beside bare nats-py in the same run.

    python benchmarks/dataplane_nats.py [--events N] [--directory DIR]

Every way goes through a nats-server with JetStream of its own on this machine, set alike, in a process each for what
comes in and what goes out, and is checked: each event is there, once. Ours are the real jobs of server_hop.py. Latency
is from a filter that writes events to one that reads them, at half the events a second of ours, but at most 100,000:
more than that the filters' own programs, which make and parse each event in Python, don't keep up with.

What is alike: time runs from the start of both processes to the end of both. Streams keep files, with retention
`interest` and ids that the server looks for among those of the last two minutes; a producer has 8 MiB under way (of
single events, 4,000). What goes in is read in blocks of 256 KiB. What goes out is fsynced by the end.

What isn't: bare nats-py fetches up to 256 messages, 64 MiB, where ours hold 8. It takes its byte code from a cache;
ours are started by the launcher and compile what a release ships, at each start. Bare nats-py neither looks whether
events are UTF-8, drops blank lines, counts events nor keeps its position in the source. It acknowledges a message
before that is on disk, so a crash loses events; the row of those that are acknowledged when they are fsynced, as ours
are, shows what that is worth.

The ways take turns, since other work on the machine disturbs some: of each figure the row has the least of all rounds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.runner import check, ended, measured
from benchmarks.server_hop import Cost, Hop, cost_of, print_latency, print_rows
from tests.nats_server import NatsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_BYTES = 256 * 1024
ROUNDS = 5
MOST_LATENT = 100_000.0


def main() -> None:
    with measured("What a hop over NATS costs, beside bare nats-py.") as (directory, source, events):
        print_rows([("nats-py, an event a message", partial(bare, 0, "early", source, directory))], source, events)
        ways = [
            ("nats-py, messages of 256 KiB", partial(bare, BATCH_BYTES, "early", source, directory)),
            ("the same, acknowledged when fsynced", partial(bare, BATCH_BYTES, "late", source, directory)),
            ("read-files, nats, write-files", partial(jobs, source, directory)),
        ]
        early, late, ours = print_rows(ways, source, events, rounds=ROUNDS)
        print(f"\nthe least of {ROUNDS} rounds in turns; ours take, all processes from start to end:")
        for way, cost in (("nats-py", early), ("nats-py that acknowledges when fsynced", late)):
            print(f"{ours.seconds / cost.seconds:.2f} times the wall of {way}, {ours.whole / cost.whole:.2f} the CPU")
        rate = min(events / ours.seconds / 2, MOST_LATENT)
        with serving(directory) as server:
            print_latency(rate, hop(directory, server).latency(rate, last=3.0))


def bare(batch_bytes: int, acknowledges: str, source: Path, directory: Path) -> Cost:
    with serving(directory) as server:
        target = directory / "out.jsonl"
        command = [sys.executable, str(Path(__file__).with_name("nats_bare.py"))]
        size = str(source.stat().st_size)
        began = time.perf_counter()
        started = [
            subprocess.Popen([*command, "in", server.url, str(source), str(batch_bytes)]),
            subprocess.Popen([*command, "out", server.url, str(target), size, acknowledges]),
        ]
        usages = [ended(process) for process in started]
        seconds = time.perf_counter() - began
        check(source, [target])
        target.unlink()
        return cost_of(seconds, usages, cpu_seconds(server))


def jobs(source: Path, directory: Path) -> Cost:
    with serving(directory) as server:
        return hop(directory, server).jobs(source)


def hop(directory: Path, server: NatsServer) -> Hop:
    channel = {
        "transport": "nats", "channel": "c", "stream": "b_c", "subject": "gitopsd.b.c", "servers": [server.url]
    }  # fmt: skip
    return Hop(directory=directory, channel=channel, library="nats", server_seconds=partial(cpu_seconds, server))


@contextmanager
def serving(directory: Path) -> Iterator[NatsServer]:
    """A server for one row, with nothing in it yet."""
    server = NatsServer(directory / "nats")
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory / "nats")


def cpu_seconds(server: NatsServer) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
