from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

from gitopsd.runner.bundle import library_files
from tests.runner.transports.kind import Transports
from tests.s3_server import BUCKET, S3Server, credentials, shared_server

if TYPE_CHECKING:
    from tests.runner.station import Endpoint, Station


class ObjectStore(Transports):
    """Below a prefix of its own on a server that all tests share."""

    kind = "object-store"
    most_repeated = 200_000  # two segments of a producer, two of a consumer, and what it did in a second

    def __init__(self, station: Station, *, server: S3Server | None = None) -> None:
        super().__init__(station)
        self.options: dict[str, Any] = {}
        for path, (content, _executable) in library_files("botocore").items():
            file = station.release / "libraries" / "botocore" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self.secret("s3", credentials())
        # of this process as well, for the tests that need no other
        os.environ["CREDENTIALS_DIRECTORY"] = station.environment["CREDENTIALS_DIRECTORY"] = str(
            station.root / "credentials"
        )
        self.server = server or shared_server()
        self.prefix = f"{secrets.token_hex(8)}/"

    def secret(self, name: str, content: str) -> None:
        (self.station.root / "credentials").mkdir(exist_ok=True)
        (self.station.root / "credentials" / name).write_text(content, encoding="utf-8")

    def output(
        self, steps: dict[str, int], *, producer: str = "o.collect.0", replica: int = 0, channel: str = "c"
    ) -> Endpoint:
        del replica
        return {**self._channel(channel), "producer": producer, "consumers": steps}

    def input(self, step: str, replica: int = 0, replicas: int = 1, channel: str = "c") -> Endpoint:
        return {**self._channel(channel), "consumer": step, "replica": replica, "replicas": replicas}

    def kill_server(self) -> bool:
        self.server.kill()
        self.server.start()
        return True

    def close(self) -> None:
        os.environ.pop("CREDENTIALS_DIRECTORY", None)

    def _channel(self, channel: str) -> Endpoint:
        return {
            "transport": "object-store",
            "channel": channel,
            "endpoint": self.server.endpoint,
            "bucket": BUCKET,
            "prefix": f"{self.prefix}{channel}/",
            "credentials": "s3",
            "linger": 0.2,
            **self.options,
        }

    def keys(self, folder: str = "", channel: str = "c") -> list[str]:
        """What is stored of a channel below a folder: the rest of each key."""
        prefix = f"{self.prefix}{channel}/{folder}"
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"][len(prefix) :] for page in pages for entry in page.get("Contents", [])]

    def objects(self, folder: str = "", channel: str = "c") -> dict[str, bytes]:
        """The same with what they hold, where nothing is being removed."""
        client, prefix = self.server.client(), f"{self.prefix}{channel}/{folder}"
        return {
            key: client.get_object(Bucket=BUCKET, Key=prefix + key)["Body"].read() for key in self.keys(folder, channel)
        }

    def put(self, key: str, content: bytes, channel: str = "c") -> None:
        self.server.client().put_object(Bucket=BUCKET, Key=f"{self.prefix}{channel}/{key}", Body=content)

    def remove(self, key: str, channel: str = "c") -> None:
        self.server.client().delete_object(Bucket=BUCKET, Key=f"{self.prefix}{channel}/{key}")
