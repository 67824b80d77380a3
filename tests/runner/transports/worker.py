from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runner.transports.kind import Transports

if TYPE_CHECKING:
    from tests.runner.station import Endpoint


class Worker(Transports):
    kind = "worker"
    durable = False

    def output(
        self, steps: dict[str, int], *, producer: str = "o.collect.0", replica: int = 0, channel: str = "c"
    ) -> Endpoint:
        del producer
        sockets = [_socket(channel, step, replica) for step in steps]
        return {"transport": "worker", "channel": channel, "sockets": sockets}

    def input(self, step: str, replica: int = 0, replicas: int = 1, channel: str = "c") -> Endpoint:
        del replicas
        return {"transport": "worker", "channel": channel, "socket": _socket(channel, step, replica)}


def _socket(channel: str, step: str, replica: int) -> str:
    name = f"{'' if channel == 'c' else channel}{step}"
    return f"{name.encode().hex()[:10]:0<10}{replica:02d}"
