"""How each kind of channel is wired up, one file a kind; a kind is chosen from `TRANSPORTS`, nothing is discovered."""

from collections.abc import Mapping

from gitopsd.compiler.transports.file_store import FileStore
from gitopsd.compiler.transports.kind import Transport
from gitopsd.compiler.transports.message_store import MessageStore
from gitopsd.compiler.transports.nats import Nats
from gitopsd.compiler.transports.object_store import ObjectStore
from gitopsd.compiler.transports.worker import WorkerSockets
from gitopsd.model.system import BoundChannel

TRANSPORTS: Mapping[str, Transport] = {
    "worker": WorkerSockets(),
    "file-store": FileStore(),
    "nats": Nats(),
    "object-store": ObjectStore(),
}

_MESSAGES_ON_A_WORKER = MessageStore()


def wired_as(channel: BoundChannel) -> Transport:
    """How a bound channel is wired up."""
    return _MESSAGES_ON_A_WORKER if stays_on_its_worker(channel) else TRANSPORTS[channel.transport]


def stored_as(channel: BoundChannel) -> str:
    """The transport that its ends speak."""
    return "file-store" if stays_on_its_worker(channel) else channel.transport


def stays_on_its_worker(channel: BoundChannel) -> bool:
    """Whether it is a message that is stored where both its ends are."""
    return channel.is_message and channel.transport == "worker"
