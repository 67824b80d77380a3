"""A hop over a server: two real jobs, started by the launcher from a release as it lies on a worker.

What dataplane_nats.py and dataplane_object_store.py have in common. Time runs from the start of the two processes to
the end of both: the writer, which would wait for more, is told to end when all is written, and does once it is fsynced
and acknowledged. CPU and peak memory are those of the two together; the server's CPU is a figure of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.runner import PATIENCE_SECONDS, RUNNER, check, ended, wait_for, written
from gitopsd.runner.bundle import library_files, runtime_files

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

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

    @property
    def whole(self) -> float:
        """CPU seconds, those of the server included."""
        return self.cpu_seconds + self.server_seconds

    @classmethod
    def least(cls, costs: Sequence[Cost]) -> Cost:
        """Of each figure by itself."""
        return cls(
            seconds=min(cost.seconds for cost in costs),
            cpu_seconds=min(cost.cpu_seconds for cost in costs),
            server_seconds=min(cost.server_seconds for cost in costs),
            peak_bytes=min(cost.peak_bytes for cost in costs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """`b.collect.0`, a channel, `b.deliver.0`: `channel` is what both ends say of it, `library` what they need."""

    directory: Path
    channel: Mapping[str, Any]
    library: str
    server_seconds: Callable[[], float]
    secrets: Mapping[str, str] = field(default_factory=dict)

    def jobs(self, source: Path) -> Cost:
        """From a file to files, checked: each event is there, once."""
        root = self.directory / "worker"
        (root / "out").mkdir(parents=True)
        self._release(
            root,
            {"role": "read-files", "with": {"glob": str(source)}},
            {"role": "write-files", "with": {"path": str(root / "out")}},
        )
        before, began = self.server_seconds(), time.perf_counter()
        with self._running(root, "b.collect.0", "b.deliver.0") as (reader, writer):
            wait_for(lambda: written(root) >= source.stat().st_size)
            writer.send_signal(signal.SIGTERM)
            usages = [ended(reader), ended(writer)]
            seconds = time.perf_counter() - began
        check(source, sorted((root / "out").iterdir()))
        shutil.rmtree(root)
        return cost_of(seconds, usages, self.server_seconds() - before)

    def latency(self, rate: float, *, last: float) -> list[float]:
        """How many events came, and their latencies in seconds: the median, p99 and p99.9.

        `last` is how many seconds the last ones have to arrive.
        """
        root, result = self.directory / "worker", self.directory / "latency.json"
        root.mkdir()
        writes = [sys.executable, "-c", WRITES, str(rate), str(LATENCY_SECONDS)]
        reads = [sys.executable, "-c", READS, str(result)]
        self._release(root, {"role": "exec", "with": {"command": writes}}, {"role": "exec", "with": {"command": reads}})
        with self._running(root, "b.deliver.0", "b.collect.0") as (consumer, producer):
            time.sleep(LATENCY_SECONDS + last)
            for process in (producer, consumer):
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)
        shutil.rmtree(root)
        found: list[float] = json.loads(result.read_text())
        return found

    def _release(self, root: Path, first: Mapping[str, object], last: Mapping[str, object]) -> None:
        path = root / "releases" / "1"
        shipped = {f"runtime/{name}": content for name, (content, _) in runtime_files().items()}
        library = library_files(self.library)
        shipped |= {f"libraries/{self.library}/{name}": content for name, (content, _) in library.items()}
        for name, content in shipped.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        (root / "credentials").mkdir()
        for name, text in self.secrets.items():
            (root / "credentials" / name).write_text(text, encoding="utf-8")
        output = {**self.channel, "producer": "b.collect.0", "consumers": {"next": 1}}
        into = {**self.channel, "consumer": "next", "replica": 0, "replicas": 1}
        described = {
            "b.collect.0": {**first, "outputs": {"default": [output]}},
            "b.deliver.0": {**last, "inputs": {"default": [into]}},
        }
        for name, runner in described.items():
            (path / "jobs" / name).mkdir(parents=True)
            document = {"format": 1, "job": name, "kind": "service", "exec": RUNNER, "runner": runner}
            (path / "jobs" / name / "job.json").write_text(json.dumps(document), encoding="utf-8")

    @contextmanager
    def _running(self, root: Path, *jobs: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        launcher = root / "releases" / "1" / "runtime" / "launch.py"
        with tempfile.TemporaryDirectory(prefix="gb-") as run:
            environment = {**os.environ, "GITOPSD_RUN": run, "CREDENTIALS_DIRECTORY": str(root / "credentials")}
            command = [sys.executable, "-IB", str(launcher)]
            started = [subprocess.Popen([*command, job], stderr=subprocess.DEVNULL, env=environment) for job in jobs]
            try:
                yield started
            finally:
                for process in started:
                    process.kill()
                    process.wait()


def print_rows(
    ways: Sequence[tuple[str, Callable[[], Cost]]], source: Path, events: int, *, rounds: int = 1
) -> list[Cost]:
    """Go the ways in turns, so many times, and print a line for each: the least of its rounds, which it gives."""
    found: list[list[Cost]] = [[] for _ in ways]
    for _ in range(rounds):
        for (_, run), costs in zip(ways, found, strict=True):
            costs.append(run())
    rows = [Cost.least(costs) for costs in found]
    print(f"{'way':<44} {'events/s':>10} {'MB/s':>6} {'wall s':>7} {'CPU s':>6} {'server':>6} {'peak MB':>8}")
    for (way, _), cost in zip(ways, rows, strict=True):
        print(
            f"{way:<44} {events / cost.seconds:>10,.0f} {source.stat().st_size / 1e6 / cost.seconds:>6.0f}"
            f" {cost.seconds:>7.2f} {cost.cpu_seconds:>6.2f} {cost.server_seconds:>6.2f} {cost.peak_bytes / 1e6:>8.0f}",
            flush=True,
        )
    return rows


def print_latency(rate: float, found: list[float], *, how: str = "") -> None:
    count, *late = found
    print(f"\nlatency at {rate:,.0f} events/s{how}, {count:,.0f} of them, in ms:", end=" ")
    print(", ".join(f"p{share} {seconds * 1000:.1f}" for share, seconds in zip((50, 99, 99.9), late, strict=True)))


def cost_of(seconds: float, usages: list[resource.struct_rusage], server_seconds: float) -> Cost:
    return Cost(
        seconds=seconds,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        server_seconds=server_seconds,
        peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024,
    )
