"""Whether memory stays flat: over a long run, and while a consumer is stopped. Real jobs, started from a release."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.dataplane_transform import ACTIONS, LOOP
from benchmarks.runner import running, wait_for, written

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("worker", "file-store")
STEPS = 5
BLOCK = 200_000
"""Events that a long input repeats."""


def long_run(source: Path, events: int, directory: Path) -> None:
    """What each job holds at most, after each fifth of the events."""
    many, shaped = _many(source, events, directory)
    for kind in KINDS:
        print(f"peak MB over {events:,} events, {kind} channels")
        root = Path(tempfile.mkdtemp(dir=directory))
        with running(kind, {"actions": ACTIONS}, many, root) as jobs:
            for step in range(1, STEPS + 1):
                _wait_until_written(root, shaped * step // STEPS)
                print(f"{step * 100 // STEPS:>5} %  {_peaks(jobs)}", flush=True)
        shutil.rmtree(root)
    many.unlink()


def stopped_consumer(source: Path, seconds: float, directory: Path) -> None:
    """What each job holds at most before, while and after the last one is stopped by SIGSTOP."""
    many, shaped = _many(source, 3_000_000, directory)
    for kind in KINDS:
        print(f"peak MB while the consumer of {kind} channels is stopped for {seconds:.0f} s")
        root = Path(tempfile.mkdtemp(dir=directory))
        with running(kind, {"actions": ACTIONS}, many, root) as jobs:
            _wait_until_written(root, shaped // 10)
            print(f" before  {_peaks(jobs)}", flush=True)
            jobs["b.deliver.0"].send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            print(f"stopped  {_peaks(jobs)}", flush=True)
            jobs["b.deliver.0"].send_signal(signal.SIGCONT)
            _wait_until_written(root, shaped)
            print(f"  after  {_peaks(jobs)}", flush=True)
        shutil.rmtree(root)
    many.unlink()


def _many(source: Path, events: int, directory: Path) -> tuple[Path, int]:
    """A file that repeats the first events of the source, and how many bytes the actions make of it."""
    with source.open("rb") as file:
        block = b"".join(line for line, _ in zip(file, range(min(events, BLOCK)), strict=False))
    shaped = subprocess.run([sys.executable, "-c", LOOP], input=block, stdout=subprocess.PIPE, check=True).stdout
    repeats = max(1, events // BLOCK)
    many = directory / "many.jsonl"
    with many.open("wb") as out:
        for _ in range(repeats):
            out.write(block)
    return many, len(shaped) * repeats


def _wait_until_written(root: Path, size: int) -> None:
    wait_for(lambda: written(root) >= size)


def _peaks(jobs: Mapping[str, subprocess.Popen[bytes]]) -> str:
    """Of those that still run: one that reads files ends with them."""
    return "  ".join(
        f"{name.split('.')[1]} {_peak(process.pid):.0f}" for name, process in jobs.items() if _runs(process)
    )


def _runs(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1000
