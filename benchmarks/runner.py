"""What the job runtime costs: a million events from files to files, beside `cat` and `jq` in the same run.

    python benchmarks/runner.py [--events N] [--directory DIR]

Every row reads the same file and is checked byte for byte. Ours are real jobs, started by the launcher from a release
as it lies on a worker; their time runs from the start of both processes to the last byte written and fsynced. CPU and
peak memory are those of all processes of a row together, interpreter start-up included.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.runner.bundle import runtime_files

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable, Iterator

SEED = 20240501
RUNNER = ["python3", "-IB", "../../runtime/runner"]
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def main() -> None:
    with measured("What the job runtime costs, beside cat and jq.") as (directory, source, events):
        size = source.stat().st_size
        print(f"{'way':<62} {'events/s':>11} {'MB/s':>7} {'wall s':>7} {'CPU s':>7} {'peak MB':>8}")
        for way, run in rows(source, directory):
            cost = run()
            print(
                f"{way:<62} {events / cost.seconds:>11,.0f} {size / 1e6 / cost.seconds:>7.0f}"
                f" {cost.seconds:>7.2f} {cost.cpu_seconds:>7.2f} {cost.peak_bytes / 1e6:>8.0f}",
                flush=True,
            )


@contextmanager
def measured(description: str) -> Iterator[tuple[Path, Path, int]]:
    """What the command line asks for: a directory to work in, and in it a file of so many events."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events (1,000,000)")
    parser.add_argument("--directory", type=Path, help="where to write; must be on the disk to measure")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="gitopsd-bench-", dir=arguments.directory))
    try:
        source = directory / "in.jsonl"
        generate(source, arguments.events)
        size = source.stat().st_size
        print(f"{arguments.events:,} events, {size / 1e6:.0f} MB, {size / arguments.events:.0f} bytes each\n")
        yield directory, source, arguments.events
    finally:
        shutil.rmtree(directory)


def rows(source: Path, directory: Path) -> list[tuple[str, Callable[[], Cost]]]:
    ways: list[tuple[str, Callable[[], Cost]]] = [
        ("cat in > out", partial(pipe, ["cat", str(source)], source, directory)),
        ("cat in > out, fsync", partial(pipe, ["cat", str(source)], source, directory, sync=True)),
    ]
    if shutil.which("jq"):
        ways.append(("jq -c . in > out", partial(pipe, ["jq", "-c", ".", str(source)], source, directory)))
    ways += [
        (f"read-files, {kind}, write-files", partial(jobs, kind, None, source, directory))
        for kind in ("file-store", "worker")
    ]
    ways += [
        (
            f"read-files, transform: {action}, write-files",
            partial(jobs, "worker", {"actions": [action]}, source, directory),
        )
        for action in ({"parse": "json"}, {"filter": "level != 'none'"}, {"set": {"host": "host"}})
    ]
    return ways


def generate(path: Path, count: int) -> None:
    """Orders as a shop would log them, seeded; already in the form that jq -c and our transform write."""
    choose = random.Random(SEED)
    services, levels = ["checkout", "basket", "payment", "shipping"], ["info", "info", "info", "warning", "error"]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            event = {
                "ts": f"2024-05-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
                "id": number,
                "level": choose.choice(levels),
                "service": choose.choice(services),
                "host": f"edge-{choose.randrange(40)}",
                "customer": {"id": choose.randrange(1_000_000), "country": choose.choice(["de", "fr", "sé"])},
                "cents": choose.randrange(100_000),
                "trace": f"{choose.getrandbits(64):016x}",
                "text": "order " + "accepted " * choose.randrange(1, 6),
            }
            file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")


def pipe(command: list[str], source: Path, directory: Path, *, sync: bool = False) -> Cost:
    target = directory / "out.jsonl"
    began = time.perf_counter()
    with target.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
        usage = ended(process)
        if sync:
            os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    check(source, [target])
    target.unlink()
    return Cost(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime, peak_bytes=usage.ru_maxrss * 1024)


def jobs(
    kind: str, transform: dict[str, object] | None, source: Path, directory: Path, *, expected: Path | None = None
) -> Cost:
    """From files over channels of a kind to files, in two or three processes; `expected` is what a transform makes."""
    root = directory / "worker"
    expected = expected or source
    with running(kind, transform, source, root) as started:
        began = time.perf_counter()
        reader, *others = started.values()
        wait_for(lambda: written(root) >= expected.stat().st_size)
        usages = [ended(reader)]  # which it does when everything was acknowledged, so fsynced
        seconds = time.perf_counter() - began
        for process in others:
            process.send_signal(signal.SIGTERM)
        usages += [ended(process) for process in others]
    check(expected, sorted((root / "out").iterdir()))
    shutil.rmtree(root)
    return Cost(
        seconds=seconds,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024,
    )


@contextmanager
def running(
    kind: str, transform: dict[str, object] | None, source: Path, root: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The jobs of a release by name, the reader first, until the end of the block."""
    for name in ("out", "mnt"):
        (root / name).mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="gb-") as run:
        names = release(root / "releases" / "1", kind, transform, source, root)
        environment = {**os.environ, "GITOPSD_RUN": run}
        launcher = root / "releases" / "1" / "runtime" / "launch.py"
        started = {
            name: subprocess.Popen(
                [sys.executable, "-IB", str(launcher), name], stderr=subprocess.DEVNULL, env=environment
            )
            for name in names
        }
        try:
            yield started
        finally:
            for process in started.values():
                process.kill()
                process.wait()


def release(path: Path, kind: str, transform: dict[str, object] | None, source: Path, root: Path) -> list[str]:
    """Write a release and return the names of its jobs, the reader first."""
    for name, (content, _executable) in runtime_files().items():
        file = path / "runtime" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    first, last = ends(kind, "c", "b.collect.0", root)
    described = {
        "b.collect.0": {"role": "read-files", "with": {"glob": str(source)}, "outputs": {"default": [first]}},
        "b.deliver.0": {"role": "write-files", "with": {"path": str(root / "out")}, "inputs": {"default": [last]}},
    }
    if transform is not None:
        out, into = ends(kind, "d", "b.shape.0", root)
        described["b.deliver.0"]["inputs"] = {"default": [into]}
        described["b.shape.0"] = {
            "role": "transform",
            "with": transform,
            "inputs": {"default": [last]},
            "outputs": {"default": [out]},
        }
    for name, runner in described.items():
        (path / "jobs" / name).mkdir(parents=True)
        document = {"format": 1, "job": name, "kind": "service", "exec": RUNNER, "runner": runner}
        (path / "jobs" / name / "job.json").write_text(json.dumps(document), encoding="utf-8")
    return list(described)


def ends(kind: str, channel: str, producer: str, root: Path) -> tuple[dict[str, object], dict[str, object]]:
    """The producer's and the consumer's end of a channel."""
    common: dict[str, object] = {"transport": kind, "channel": channel}
    if kind == "worker":
        socket = f"{channel:0>12}"
        return {**common, "sockets": [socket]}, {**common, "socket": socket}
    common["path"] = str(root / "mnt" / channel)
    return {**common, "producer": producer, "consumers": {"next": 1}}, {**common, "consumer": "next"}


def ended(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def written(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "out").iterdir())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the jobs didn't get through")
        time.sleep(0.005)


def check(source: Path, targets: list[Path]) -> None:
    """Raise AssertionError unless the targets, one after another, hold exactly the bytes of the source."""
    with source.open("rb") as expected:
        for target in targets:
            with target.open("rb") as found:
                while block := found.read(1 << 20):
                    assert block == expected.read(len(block)), f"{target} differs"
        assert not expected.read(1), "events are missing"


if __name__ == "__main__":
    main()
