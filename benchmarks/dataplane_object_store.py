"""What a hop over an object store costs: a million events from a file to files, beside bare botocore in the same run.

    python benchmarks/dataplane_object_store.py [--events N] [--directory DIR]

Every way goes through one SeaweedFS on this machine, in a process each for what comes in and what goes out, and is
checked: each event is there, once. Ours are the real jobs of server_hop.py. Bare botocore puts and gets objects of
8 MiB of lines, as gzip at the same level, one after the other, and knows without looking which are there. Latency is
from a filter that writes events to one that reads them, at about half the events a second of ours: that of the default
`linger`, one second, and of the shortest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.runner import check, ended, measured
from benchmarks.server_hop import Cost, Hop, cost_of, print_latency, print_rows
from tests.s3_server import BUCKET, S3Server, credentials

if TYPE_CHECKING:
    from typing import Any

OBJECT_BYTES = 8 * 1024 * 1024
LEVEL = 4


def main() -> None:
    if sys.argv[1:2] == ["bare"]:
        {"in": put, "out": get}[sys.argv[2]](*sys.argv[3:])
        return
    with measured("What a hop over an object store costs, beside bare botocore.") as (directory, source, events):
        server = S3Server(directory / "s3")
        try:
            server.start()
            server.wait()
            ways = [
                ("botocore, objects of 8 MiB as gzip", partial(bare, source, directory, server)),
                (
                    "read-files, object-store, write-files",
                    partial(hop(directory, server, compression="gzip").jobs, source),
                ),
                ("the same, not compressed", partial(hop(directory, server, compression="none").jobs, source)),
            ]
            rate = events / print_rows(ways, source, events)[-1].seconds / 2
            for linger in (1.0, 0.1):
                found = hop(directory, server, linger=linger).latency(rate, last=8.0)
                print_latency(rate, found, how=f", linger {linger} s")
        finally:
            server.close()


def hop(directory: Path, server: S3Server, **options: object) -> Hop:
    """Each below a prefix of its own."""
    prefix = "-".join(str(value) for value in options.values())
    channel = {
        "transport": "object-store", "channel": "c", "bucket": BUCKET, "credentials": "s3",
        "endpoint": server.endpoint, "prefix": f"{prefix}/", **options,
    }  # fmt: skip
    return Hop(
        directory=directory,
        channel=channel,
        library="botocore",
        server_seconds=server.cpu_seconds,
        secrets={"s3": credentials()},
    )


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
