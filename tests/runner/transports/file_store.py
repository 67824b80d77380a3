from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runner.transports.kind import Transports

if TYPE_CHECKING:
    from tests.runner.station import Endpoint


class FileStore(Transports):
    kind = "file-store"

    def output(
        self, steps: dict[str, int], *, producer: str = "o.collect.0", replica: int = 0, channel: str = "c"
    ) -> Endpoint:
        del replica
        return {**self._channel(channel), "producer": producer, "consumers": steps}

    def input(self, step: str, replica: int = 0, replicas: int = 1, channel: str = "c") -> Endpoint:
        return {**self._channel(channel), "consumer": step, "replica": replica, "replicas": replicas}

    def _channel(self, channel: str) -> Endpoint:
        path = str(self.station.root / "mnt" / channel)
        return {"transport": "file-store", "channel": channel, "path": path}
