"""What a hop over an object store costs: a million events from a file to files, beside bare botocore in the same run.

    python benchmarks/dataplane_object_store.py [--events N] [--directory DIR]

Every way goes through one SeaweedFS on this machine, in a process each for what comes in and what goes out, and is
checked: each event is there, once. Ours are real jobs, started by the launcher from a release as it lies on a worker.
Bare botocore puts and gets objects of 8 MiB of lines, as gzip at the same level, one after the other, and knows without
looking which are there. CPU and peak memory are those of the two processes together, interpreter start-up included; the
server's CPU is a column of its own. Latency is from a filter that writes events to one that reads them, at about half
the events a second of ours: that of the default `linger`, one second, and of the shortest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.dataplane_nats import LATENCY_SECONDS, READS, WRITES, Cost
from benchmarks.runner import PATIENCE_SECONDS, RUNNER, check, ended, generate, wait_for, written
from gitopsd.runner.bundle import library_files, runtime_files
from tests.s3_server import BUCKET, S3Server, credentials

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable
    from typing import Any

OBJECT_BYTES = 8 * 1024 * 1024
LEVEL = 4


def main() -> None:
    if sys.argv[1:2] == ["bare"]:
        {"in": put, "out": get}[sys.argv[2]](*sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description="What a hop over an object store costs, beside bare botocore.")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events (1,000,000)")
    parser.add_argument("--directory", type=Path, help="where to write; must be on the disk to measure")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="gitopsd-bench-", dir=arguments.directory))
    server = S3Server(directory / "s3")
    try:
        server.start()
        server.wait()
        source = directory / "in.jsonl"
        generate(source, arguments.events)
        size = source.stat().st_size
        print(f"{arguments.events:,} events, {size / 1e6:.0f} MB, {size / arguments.events:.0f} bytes each\n")
        print(f"{'way':<44} {'events/s':>10} {'MB/s':>6} {'wall s':>7} {'CPU s':>6} {'server':>6} {'peak MB':>8}")
        ours = 0.0
        for way, run in rows(source, directory, server):
            cost = run()
            ours = arguments.events / cost.seconds
            print(
                f"{way:<44} {ours:>10,.0f} {size / 1e6 / cost.seconds:>6.0f} {cost.seconds:>7.2f}"
                f" {cost.cpu_seconds:>6.2f} {cost.server_seconds:>6.2f} {cost.peak_bytes / 1e6:>8.0f}",
                flush=True,
            )
        for linger in (1.0, 0.1):
            count, *late = latency(directory, server, ours / 2, linger)
            print(f"\nlatency at {ours / 2:,.0f} events/s, linger {linger} s, {count:,.0f} of them, in ms:", end=" ")
            print(
                ", ".join(f"p{share} {seconds * 1000:.0f}" for share, seconds in zip((50, 99, 99.9), late, strict=True))
            )
    finally:
        server.close()
        shutil.rmtree(directory)


def rows(source: Path, directory: Path, server: S3Server) -> list[tuple[str, Callable[[], Cost]]]:
    return [
        ("botocore, objects of 8 MiB as gzip", partial(bare, source, directory, server)),
        ("read-files, object-store, write-files", partial(jobs, source, directory, server)),
        ("the same, not compressed", partial(jobs, source, directory, server, compression="none")),
    ]


def bare(source: Path, directory: Path, server: S3Server) -> Cost:
    target = directory / "out.jsonl"
    command = [sys.executable, __file__, "bare"]
    before, began = server.cpu_seconds(), time.perf_counter()
    usages = [
        ended(subprocess.Popen([*command, "in", server.endpoint, str(source)])),
        ended(subprocess.Popen([*command, "out", server.endpoint, str(target)])),
    ]
    seconds = time.perf_counter() - began
    check(source, [target])
    target.unlink()
    return cost_of(seconds, usages, server.cpu_seconds() - before)


def jobs(source: Path, directory: Path, server: S3Server, *, compression: str = "gzip") -> Cost:
    with tempfile.TemporaryDirectory(prefix="gb-") as run:
        root = directory / "worker"
        (root / "out").mkdir(parents=True)
        release(
            root,
            {"endpoint": server.endpoint, "prefix": f"{compression}/", "compression": compression},
            {"role": "read-files", "with": {"glob": str(source)}},
            {"role": "write-files", "with": {"path": str(root / "out")}},
        )
        before, began = server.cpu_seconds(), time.perf_counter()
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
        return cost_of(seconds, usages, server.cpu_seconds() - before)


def latency(directory: Path, server: S3Server, rate: float, linger: float) -> list[float]:
    """How many events came, and their latencies in seconds: the median, p99 and p99.9."""
    with tempfile.TemporaryDirectory(prefix="gb-") as run:
        root, result = directory / "worker", directory / "latency.json"
        root.mkdir()
        writes = [sys.executable, "-c", WRITES, str(rate), str(LATENCY_SECONDS)]
        reads = [sys.executable, "-c", READS, str(result)]
        release(
            root,
            {"endpoint": server.endpoint, "prefix": f"latency-{linger}/", "linger": linger},
            {"role": "exec", "with": {"command": writes}},
            {"role": "exec", "with": {"command": reads}},
        )
        consumer = start(root, run, "b.deliver.0")
        producer = start(root, run, "b.collect.0")
        try:
            time.sleep(LATENCY_SECONDS + 8)
            for process in (producer, consumer):
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)
        finally:
            for process in (producer, consumer):
                process.kill()
        shutil.rmtree(root)
        found: list[float] = json.loads(result.read_text())
        return found


def cost_of(seconds: float, usages: list[resource.struct_rusage], server_seconds: float) -> Cost:
    return Cost(
        seconds=seconds,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        server_seconds=server_seconds,
        peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024,
    )


def release(root: Path, channel: dict[str, Any], first: dict[str, object], last: dict[str, object]) -> None:
    """`b.collect.0`, a channel over the store, `b.deliver.0`."""
    path = root / "releases" / "1"
    shipped = {f"runtime/{name}": content for name, (content, _) in runtime_files().items()}
    shipped |= {f"libraries/botocore/{name}": content for name, (content, _) in library_files("botocore").items()}
    for name, content in shipped.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (root / "credentials").mkdir()
    (root / "credentials" / "s3").write_text(credentials(), encoding="utf-8")
    end = {"transport": "object-store", "channel": "c", "bucket": BUCKET, "credentials": "s3", **channel}
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
    environment = {**os.environ, "GITOPSD_RUN": run, "CREDENTIALS_DIRECTORY": str(root / "credentials")}
    return subprocess.Popen([sys.executable, "-IB", str(launcher), job], stderr=subprocess.DEVNULL, env=environment)


def put(endpoint: str, source: str) -> None:
    """Bare botocore: lines of a file, in objects."""
    client = _client(endpoint)
    number = 0
    with open(source, "rb") as file:  # noqa: PTH123 -- nothing else runs meanwhile
        while lines := file.readlines(OBJECT_BYTES):
            compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
            body = compressor.compress(b"".join(lines)) + compressor.flush()
            client.put_object(Bucket=BUCKET, Key=f"bare/{number:06d}", Body=body)
            number += 1


def get(endpoint: str, target: str) -> None:
    """Bare botocore: what was put, into one file."""
    client = _client(endpoint)
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET, Prefix="bare/")["Contents"]]
    with open(target, "wb") as file:  # noqa: PTH123 -- nothing else runs meanwhile
        file.writelines(zlib.decompress(client.get_object(Bucket=BUCKET, Key=key)["Body"].read(), 31) for key in keys)
        file.flush()
        os.fsync(file.fileno())


def _client(endpoint: str) -> Any:
    from botocore.session import Session

    from tests.s3_server import KEY

    return Session().create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1]
    )


if __name__ == "__main__":
    main()
