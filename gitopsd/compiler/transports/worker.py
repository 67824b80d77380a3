"""`worker`: Unix sockets on one worker. The consumer listens; replica i of each end is joined to replica i."""

from gitopsd.compiler.transports.kind import Attachment, WireEnd, socket_name
from gitopsd.model.system import BoundChannel


class WorkerSockets:
    libraries: tuple[str, ...] = ()

    def input_of(self, attachment: Attachment) -> WireEnd:
        return worker_input(attachment.wire_name, self._socket(attachment, attachment.step.name))

    def output_of(self, attachment: Attachment) -> WireEnd:
        sockets = [self._socket(attachment, step) for step in attachment.consumer_replicas()]
        return worker_output(attachment.wire_name, sockets)

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        del channel  # sockets lie in a directory of their own that every job has
        return ()

    def needs_shared_path(self) -> bool:
        return False

    @staticmethod
    def _socket(attachment: Attachment, consumer: str) -> str:
        return socket_name(attachment.wire_name, consumer, str(attachment.replica))


def worker_input(channel: str, socket: str) -> WireEnd:
    return {"transport": "worker", "channel": channel, "socket": socket}


def worker_output(channel: str, sockets: list[str]) -> WireEnd:
    return {"transport": "worker", "channel": channel, "sockets": sorted(sockets)}
