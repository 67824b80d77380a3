"""`file-store`: segments below a directory that both ends see."""

from gitopsd.compiler.transports.kind import Attachment, WireEnd
from gitopsd.model.system import BoundChannel


class FileStore:
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
        if attachment.channel.segment_bytes:
            end["segment_bytes"] = attachment.channel.segment_bytes
        return end

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        return (channel.path,)

    def crosses_workers(self) -> bool:
        return True
