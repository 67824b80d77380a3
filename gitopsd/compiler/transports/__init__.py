"""How each kind of channel is wired up, one file a kind; a kind is chosen from `TRANSPORTS`, nothing is discovered."""

from collections.abc import Mapping

from gitopsd.compiler.transports.file_store import FileStore
from gitopsd.compiler.transports.kind import Transport
from gitopsd.compiler.transports.nats import Nats
from gitopsd.compiler.transports.object_store import ObjectStore
from gitopsd.compiler.transports.worker import WorkerSockets

TRANSPORTS: Mapping[str, Transport] = {
    "worker": WorkerSockets(),
    "file-store": FileStore(),
    "nats": Nats(),
    "object-store": ObjectStore(),
}
