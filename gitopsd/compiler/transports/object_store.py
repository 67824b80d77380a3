"""`object-store`: batches in a bucket behind an S3 API, which reaches anywhere."""

from typing import Any

from gitopsd.compiler.transports.kind import Attachment, WireEnd
from gitopsd.model.system import BoundChannel

_OF_PRODUCERS = {"compression", "keep", "segment_bytes"}


class ObjectStore:
    libraries: tuple[str, ...] = ("botocore",)

    def input_of(self, attachment: Attachment) -> WireEnd:
        channel = {key: value for key, value in _bucket(attachment).items() if key not in _OF_PRODUCERS}
        return {
            **channel,
            "consumer": attachment.step.name,
            "replica": attachment.replica,
            "replicas": attachment.step.place.replicas,
        }

    def output_of(self, attachment: Attachment) -> WireEnd:
        return {**_bucket(attachment), "producer": attachment.job, "consumers": dict(attachment.consumer_replicas())}

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        del channel
        return ()

    def needs_shared_path(self) -> bool:
        return False


def _bucket(attachment: Attachment) -> dict[str, Any]:
    """The channel's own folder lies below the prefix, so channels can share a bucket."""
    options = dict(attachment.channel.options)
    folder = (options.pop("prefix", ""), attachment.environment, attachment.system.workflow, attachment.channel.name)
    return {
        "transport": "object-store",
        "channel": attachment.wire_name,
        "prefix": "/".join(filter(None, folder)) + "/",
        **options,
    }
