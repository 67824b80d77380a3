"""`file-store`: segments below a directory that both ends see."""

from gitopsd.compiler.transports.kind import Attachment, WireEnd
from gitopsd.model.system import BoundChannel


class FileStore:
    libraries: tuple[str, ...] = ()

    def input_of(self, attachment: Attachment) -> WireEnd:
        return {
            "transport": "file-store",
            "channel": attachment.wire_name,
            "path": attachment.channel.path,
            "consumer": attachment.step.name,
            "replica": attachment.replica,
            "replicas": attachment.step.place.replicas,
        }

    def output_of(self, attachment: Attachment) -> WireEnd:
        end: WireEnd = {
            "transport": "file-store",
            "channel": attachment.wire_name,
            "path": attachment.channel.path,
            "producer": attachment.job,
            "consumers": dict(attachment.consumer_replicas()),
        }
        return {**end, **attachment.channel.options}

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        return (channel.path,)

    def needs_shared_path(self) -> bool:
        return True
