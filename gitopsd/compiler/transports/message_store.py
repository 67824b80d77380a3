"""Messages that stay on their worker: the segments of a file-store, in a directory of gitopsd's own.

As `worker` channels do, they join replica i of one step with replica i of the other. Sockets would not do: who signals
may have ended before the other one is there, and both may be away when the machine goes down.
"""

from gitopsd.compiler.transports.file_store import FileStore
from gitopsd.compiler.transports.kind import Attachment, WireEnd, socket_name
from gitopsd.model.system import BoundChannel

MESSAGES = "/var/lib/gitopsd/data/messages"
"""Where the jobs of a worker whose gitopsd lies elsewhere see it, the runner knows (runner/.../directories.py)."""


def message_store(environment: str, workflow: str, message: str) -> str:
    """What the directories of one message begin with, one for each replica."""
    return f"{MESSAGES}/{socket_name(environment, workflow, message)}"


class MessageStore:
    libraries: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._store = FileStore()

    def input_of(self, attachment: Attachment) -> WireEnd:
        return {**self._store.input_of(attachment), **_of_replica(attachment), "replica": 0, "replicas": 1}

    def output_of(self, attachment: Attachment) -> WireEnd:
        consumers = dict.fromkeys(attachment.consumer_replicas(), 1)
        return {**self._store.output_of(attachment), **_of_replica(attachment), "consumers": consumers}

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        del channel  # one for each replica: that of the end
        return ()

    def needs_shared_path(self) -> bool:
        return False


def _of_replica(attachment: Attachment) -> WireEnd:
    return {"path": f"{attachment.channel.path}.{attachment.replica}"}
