"""What the data plane costs: hops, transforms and memory, beside what a user would pick instead, in one run.

    python -m benchmarks.dataplane [--events N] [--memory N] [--stopped SECONDS] [--directory DIR]

The events are those of benchmarks/runner.py, about 200 bytes each. CPU seconds and peak memory are those of all
processes of a row together, the start of interpreters included. The p99 of a hop is that of events given at half the
rate that the row above reached. A row whose program isn't on this machine is left out and said.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import dataplane_memory, dataplane_transform
from benchmarks.dataplane_hops import Hop, measure
from benchmarks.runner import Cost, ended, ends, generate

if TYPE_CHECKING:
    from collections.abc import Callable

LATENCY_SECONDS = 5
KINDS = ("worker", "file-store")

PARSES = """
import json, sys
scan = json.JSONDecoder().raw_decode
for line in sys.stdin:
    scan(line)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="What the data plane costs, beside what a user would pick instead.")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events; 0: leave these out (1,000,000)")
    parser.add_argument(
        "--memory", type=int, default=0, help="events of a long run that shows whether memory grows (0)"
    )
    parser.add_argument("--stopped", type=float, default=0, help="seconds for which a consumer is stopped (0)")
    parser.add_argument("--directory", type=Path, help="where to write; must be on the disk to measure")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="gitopsd-bench-", dir=arguments.directory))
    try:
        source = directory / "in.jsonl"
        generate(source, arguments.events or 200_000)
        if arguments.events:
            hops(source, arguments.events, directory)
            dataplane_transform.show(source, arguments.events, directory)
        if arguments.memory:
            dataplane_memory.long_run(source, arguments.memory, directory)
        if arguments.stopped:
            dataplane_memory.stopped_consumer(source, arguments.stopped, directory)
    finally:
        shutil.rmtree(directory)


def hops(source: Path, events: int, directory: Path) -> None:
    """From one process to another; a bare pipe carries bytes, and promises nothing."""
    size = source.stat().st_size
    print(f"{events:,} events, {size / 1e6:.0f} MB, {size / events:.0f} bytes each\n")
    print(f"{'hop':<34} {'events/s':>11} {'MB/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'CPU s':>7} {'peak MB':>8}")
    bare: list[tuple[str, Callable[[], Cost]]] = [("cat in | cat", partial(pipe, source, ["cat"]))]
    if shutil.which("jq"):
        bare.append(("cat in | jq -c .", partial(pipe, source, ["jq", "-c", "."])))
    bare.append(("cat in | Python: parse JSON", partial(pipe, source, [sys.executable, "-c", PARSES])))
    for way, run in bare:
        _row(way, events, size, run())
    for kind in KINDS:
        rate = 0.0
        for way in (kind, f"{kind}, half load"):
            place = Path(tempfile.mkdtemp(dir=directory))
            (place / "mnt").mkdir()
            first, last = ends(kind, "c", "b.give.0", place)
            count = int(rate * LATENCY_SECONDS) or events
            hop = measure(first, last, source, count, rate)
            _row(way, count, count / events * size, hop, paced=rate > 0)
            rate = count / hop.seconds / 2
            shutil.rmtree(place)
    print()


def _row(way: str, events: int, size: float, cost: Cost | Hop, *, paced: bool = False) -> None:
    late = f"{cost.median_ms:>7.1f} {cost.p99_ms:>7.1f}" if isinstance(cost, Hop) and paced else " " * 15
    print(
        f"{way:<34} {events / cost.seconds:>11,.0f} {size / 1e6 / cost.seconds:>7.0f} {late}"
        f" {cost.cpu_seconds:>7.2f} {cost.peak_bytes / 1e6:>8.0f}",
        flush=True,
    )


def pipe(source: Path, command: list[str]) -> Cost:
    began = time.perf_counter()
    cat = subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE)
    reader = subprocess.Popen(command, stdin=cat.stdout, stdout=subprocess.DEVNULL)
    assert cat.stdout is not None
    cat.stdout.close()
    usages = [ended(reader), ended(cat)]
    return Cost(
        seconds=time.perf_counter() - began,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024,
    )


if __name__ == "__main__":
    main()
