"""The transports that keep events, as a workflow declares their channels: what the tests of changes run over."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from tests.nats_server import NatsServer
from tests.s3_server import BUCKET, credentials, shared_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.operator import Operator


class Store(ABC):
    """With a server where it needs one; small segments, so that replicas have something to share."""

    @abstractmethod
    def channel(self, name: str) -> dict[str, Any]:
        """The declaration of a channel."""

    def close(self) -> None:  # noqa: B027 -- most have nothing to stop
        """Stop what was started for it."""


class FileStore(Store):
    def __init__(self, _operator: Operator, directory: Path) -> None:
        self.directory = directory

    def channel(self, name: str) -> dict[str, Any]:
        return {"transport": "file-store", "path": str(self.directory / name), "segment_bytes": 65536}


class Nats(Store):
    def __init__(self, _operator: Operator, directory: Path) -> None:
        self.server = NatsServer(directory / "nats")
        self.server.start()

    def channel(self, name: str) -> dict[str, Any]:
        del name  # the stream has the channel's
        return {"transport": "nats", "servers": [self.server.url], "ack_wait": "2s"}

    def close(self) -> None:
        self.server.kill()


class ObjectStore(Store):
    def __init__(self, operator: Operator, directory: Path) -> None:
        self.server = shared_server()
        self.prefix = secrets.token_hex(8)
        key, config = directory / "s3_key", operator.home / ".config/gitopsd/config.yaml"
        for path, content in ((key, credentials()), (config, f"secrets: {{s3_key: {{file: {key}}}}}\n")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            path.chmod(0o600)

    def channel(self, name: str) -> dict[str, Any]:
        del name
        where = {"endpoint": self.server.endpoint, "bucket": BUCKET, "prefix": self.prefix, "credentials": "s3_key"}
        return {"transport": "object-store", **where, "segment_bytes": "64K", "linger": "200ms"}


STORES: dict[str, Callable[[Operator, Path], Store]] = {
    "file-store": FileStore,
    "nats": Nats,
    "object-store": ObjectStore,
}
