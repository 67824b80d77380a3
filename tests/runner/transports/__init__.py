"""Both ends of a channel, for each kind of transport: what the conformance tests run over. A new one adds its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runner.transports.file_store import FileStore
from tests.runner.transports.nats import Nats
from tests.runner.transports.object_store import ObjectStore
from tests.runner.transports.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runner.station import Station
    from tests.runner.transports.kind import Transports

KINDS: dict[str, Callable[[Station], Transports]] = {
    "worker": Worker,
    "file-store": FileStore,
    "nats": Nats,
    "object-store": ObjectStore,
}
