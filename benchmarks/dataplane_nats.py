"""What a hop over NATS costs: a million events from a file to files, beside bare nats-py in the same run.

    python benchmarks/dataplane_nats.py [--events N] [--directory DIR]

Every way goes through one nats-server with JetStream on this machine, in a process each for what comes in and what goes
out, and is checked: each event is there, once. Ours are the real jobs of server_hop.py. Bare nats-py publishes with
4,000 messages under way, and fetches and acknowledges 256 at a time. Latency is from a filter that writes events to one
that reads them, at about half the events a second of ours.
"""

from __future__ import annotations

import asyncio
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


def main() -> None:
    if sys.argv[1:2] == ["bare"]:
        asyncio.run({"in": publish, "out": fetch}[sys.argv[2]](*sys.argv[3:]))
        return
    with measured("What a hop over NATS costs, beside bare nats-py.") as (directory, source, events):
        ways = [
            ("nats-py, an event a message", partial(bare, 0, source, directory)),
            ("nats-py, messages of 256 KiB", partial(bare, BATCH_BYTES, source, directory)),
            ("read-files, nats, write-files", partial(jobs, source, directory)),
        ]
        rate = print_rows(ways, source, events) / 2
        with serving(directory) as server:
            print_latency(rate, hop(directory, server).latency(rate, last=3.0))


def bare(batch_bytes: int, source: Path, directory: Path) -> Cost:
    with serving(directory) as server:
        target = directory / "out.jsonl"
        command = [sys.executable, __file__, "bare"]
        began = time.perf_counter()
        started = [
            subprocess.Popen([*command, "in", server.url, str(source), str(batch_bytes)]),
            subprocess.Popen([*command, "out", server.url, str(target), str(source.stat().st_size)]),
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


async def publish(url: str, source: str, batch_bytes: str) -> None:
    """Bare nats-py: lines of a file, one a message or whole lines of about `batch_bytes`."""
    import nats

    client = await nats.connect(url)
    js = client.jetstream(publish_async_max_pending=4000 if batch_bytes == "0" else 16)
    await js.add_stream(name="bare", subjects=["bare"])
    size = int(batch_bytes)
    with open(source, "rb") as file:  # noqa: ASYNC230, PTH123 -- nothing else runs meanwhile
        while lines := (file.readlines(size) if size else [file.readline()]):
            if not lines[0]:
                break
            await js.publish_async("bare", b"".join(lines), headers={"Nats-Msg-Id": str(file.tell())})
    await js.publish_async_completed()
    await client.close()


async def fetch(url: str, target: str, size: str) -> None:
    """Bare nats-py: fetch and acknowledge until so many bytes are there, and fsync them."""
    import nats
    from nats.js.errors import NotFoundError

    client = await nats.connect(url)
    js = client.jetstream()
    while True:
        try:
            subscription = await js.pull_subscribe("bare", durable="bare", stream="bare")
            break
        except NotFoundError:
            await asyncio.sleep(0.01)
    left = int(size)
    with open(target, "wb") as file:  # noqa: ASYNC230, PTH123 -- nothing else runs meanwhile
        while left:
            for message in await subscription.fetch(256, timeout=10):
                file.write(message.data)
                left -= len(message.data)
                await message.ack()
        file.flush()
        os.fsync(file.fileno())
    await client.close()


if __name__ == "__main__":
    main()
