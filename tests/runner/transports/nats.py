from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitopsd.runner.bundle import library_files
from tests.nats_server import NatsServer
from tests.runner.transports.kind import Transports

if TYPE_CHECKING:
    from tests.runner.station import Endpoint, Station


class Nats(Transports):
    """A server of its own, with the `max_payload` that the conformance tests' longest event needs."""

    kind = "nats"

    def __init__(self, station: Station, *, server: NatsServer | None = None, more: str = "") -> None:
        super().__init__(station)
        self.options: dict[str, Any] = {}
        for path, (content, _executable) in library_files("nats").items():
            file = station.release / "libraries" / "nats" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self.server = server or NatsServer(station.root / "nats", max_payload=8 * 1024 * 1024, more=more)
        if server is None:
            self.server.start()

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
        self.server.kill()

    def _channel(self, channel: str) -> Endpoint:
        return {
            "transport": "nats",
            "channel": channel,
            "stream": f"test_{channel}",
            "subject": f"gitopsd.test.{channel}",
            "servers": [self.server.url],
            "ack_wait": 3,
            **self.options,
        }
