"""What a hop over NATS costs: a million events from a file to files, beside bare nats-py in the same run.

    python benchmarks/dataplane_nats.py [--events N] [--directory DIR]

Every way goes through one nats-server with JetStream on this machine, in a process each for what comes in and what goes
out, and is checked: each event is there, once. Ours are real jobs, started by the launcher from a release as it lies on
a worker. Bare nats-py publishes with 4,000 messages under way, and fetches and acknowledges 256 at a time. CPU and peak
memory are those of the two processes together, interpreter start-up included; the server's CPU is a column of its own.
Latency is from a filter that writes events to one that reads them, at about half the events a second of ours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.runner import PATIENCE_SECONDS, RUNNER, check, ended, generate, wait_for, written
from gitopsd.runner.bundle import library_files, runtime_files
from tests.nats_server import NatsServer

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

BATCH_BYTES = 256 * 1024
LATENCY_SECONDS = 10.0

WRITES = """
import sys, time
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
pad, began, sent = "x" * 150, time.time(), 0
while (passed := time.time() - began) < seconds:
    due = int(passed * rate) - sent
    sys.stdout.write("".join('{"t":%.6f,"n":%d,"text":"%s"}\\n' % (time.time(), sent + i, pad) for i in range(due)))
    sys.stdout.flush()
    sent += due
    time.sleep(0.01)
"""
READS = """
import json, sys, time
late = sorted(time.time() - json.loads(line)["t"] for line in sys.stdin)
with open(sys.argv[1], "w") as file:
    json.dump([len(late), *(late[int(len(late) * share)] for share in (0.5, 0.99, 0.999))], file)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    seconds: float
    cpu_seconds: float
    server_seconds: float
    peak_bytes: int


def main() -> None:
    if sys.argv[1:2] == ["bare"]:
        asyncio.run({"in": publish, "out": fetch}[sys.argv[2]](*sys.argv[3:]))
        return
    parser = argparse.ArgumentParser(description="What a hop over NATS costs, beside bare nats-py.")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events (1,000,000)")
    parser.add_argument("--directory", type=Path, help="where to write; must be on the disk to measure")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="gitopsd-bench-", dir=arguments.directory))
    try:
        source = directory / "in.jsonl"
        generate(source, arguments.events)
        size = source.stat().st_size
        print(f"{arguments.events:,} events, {size / 1e6:.0f} MB, {size / arguments.events:.0f} bytes each\n")
        print(f"{'way':<44} {'events/s':>10} {'MB/s':>6} {'wall s':>7} {'CPU s':>6} {'server':>6} {'peak MB':>8}")
        ours = 0.0
        for way, run in rows(source, directory):
            cost = run()
            ours = arguments.events / cost.seconds
            print(
                f"{way:<44} {ours:>10,.0f} {size / 1e6 / cost.seconds:>6.0f} {cost.seconds:>7.2f}"
                f" {cost.cpu_seconds:>6.2f} {cost.server_seconds:>6.2f} {cost.peak_bytes / 1e6:>8.0f}",
                flush=True,
            )
        rate = ours / 2
        count, *late = latency(directory, rate)
        print(f"\nlatency at {rate:,.0f} events/s, {count:,.0f} of them, in ms:", end=" ")
        print(", ".join(f"p{share} {seconds * 1000:.1f}" for share, seconds in zip((50, 99, 99.9), late, strict=True)))
    finally:
        shutil.rmtree(directory)


def rows(source: Path, directory: Path) -> list[tuple[str, Callable[[], Cost]]]:
    return [
        ("nats-py, an event a message", partial(bare, 0, source, directory)),
        ("nats-py, messages of 256 KiB", partial(bare, BATCH_BYTES, source, directory)),
        ("read-files, nats, write-files", partial(jobs, source, directory)),
    ]


def bare(batch_bytes: int, source: Path, directory: Path) -> Cost:
    with Server(directory) as server:
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
        return cost_of(seconds, usages, server)


def jobs(source: Path, directory: Path) -> Cost:
    with Server(directory) as server, tempfile.TemporaryDirectory(prefix="gb-") as run:
        root = directory / "worker"
        (root / "out").mkdir(parents=True)
        release(
            root,
            server.url,
            {"role": "read-files", "with": {"glob": str(source)}},
            {"role": "write-files", "with": {"path": str(root / "out")}},
        )
        began = time.perf_counter()
        started = [start(root, run, name) for name in ("b.collect.0", "b.deliver.0")]
        try:
            wait_for(lambda: written(root) >= source.stat().st_size)
            seconds = time.perf_counter() - began
            usages = [ended(started[0])]
            started[1].send_signal(signal.SIGTERM)
            usages.append(ended(started[1]))
        finally:
            for process in started:
                process.kill()
        check(source, sorted((root / "out").iterdir()))
        shutil.rmtree(root)
        return cost_of(seconds, usages, server)


def latency(directory: Path, rate: float) -> list[float]:
    """How many events came, and their latencies in seconds: the median, p99 and p99.9."""
    with Server(directory) as server, tempfile.TemporaryDirectory(prefix="gb-") as run:
        root, result = directory / "worker", directory / "latency.json"
        root.mkdir()
        writes = [sys.executable, "-c", WRITES, str(rate), str(LATENCY_SECONDS)]
        reads = [sys.executable, "-c", READS, str(result)]
        release(
            root,
            server.url,
            {"role": "exec", "with": {"command": writes}},
            {"role": "exec", "with": {"command": reads}},
        )
        consumer = start(root, run, "b.deliver.0")
        producer = start(root, run, "b.collect.0")
        try:
            time.sleep(LATENCY_SECONDS + 3)
            for process in (producer, consumer):
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)
        finally:
            for process in (producer, consumer):
                process.kill()
        found: list[float] = json.loads(result.read_text())
        return found


class Server:
    """A server for one row, with nothing in it yet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "nats"
        self._server = NatsServer(self._directory)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        shutil.rmtree(self._directory)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost_of(seconds: float, usages: list[resource.struct_rusage], server: Server) -> Cost:
    return Cost(
        seconds=seconds,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        server_seconds=server.cpu_seconds(),
        peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024,
    )


def release(root: Path, url: str, first: dict[str, object], last: dict[str, object]) -> None:
    """`b.collect.0`, a channel over NATS, `b.deliver.0`."""
    path = root / "releases" / "1"
    shipped = {f"runtime/{name}": content for name, (content, _) in runtime_files().items()}
    shipped |= {f"libraries/nats/{name}": content for name, (content, _) in library_files("nats").items()}
    for name, content in shipped.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    end = {"transport": "nats", "channel": "c", "stream": "b_c", "subject": "gitopsd.b.c", "servers": [url]}
    ports = {
        "b.collect.0": {
            **first,
            "outputs": {"default": [{**end, "producer": "b.collect.0", "consumers": {"next": 1}}]},
        },
        "b.deliver.0": {**last, "inputs": {"default": [{**end, "consumer": "next", "replica": 0, "replicas": 1}]}},
    }
    for name, runner in ports.items():
        (path / "jobs" / name).mkdir(parents=True)
        document = {"format": 1, "job": name, "kind": "service", "exec": RUNNER, "runner": runner}
        (path / "jobs" / name / "job.json").write_text(json.dumps(document), encoding="utf-8")


def start(root: Path, run: str, job: str) -> subprocess.Popen[bytes]:
    launcher = root / "releases" / "1" / "runtime" / "launch.py"
    environment = {**os.environ, "GITOPSD_RUN": run}
    return subprocess.Popen([sys.executable, "-IB", str(launcher), job], stderr=subprocess.DEVNULL, env=environment)


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
