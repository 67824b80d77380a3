"""`nats`: a stream of NATS JetStream, which reaches anywhere.

A stream's name may hold no dot, so those of a module's own channels become `=`, which no name of ours holds.
"""

from typing import Any

from gitopsd.compiler.transports.kind import Attachment, WireEnd
from gitopsd.model.system import BoundChannel


class Nats:
    libraries: tuple[str, ...] = ("nats",)

    def input_of(self, attachment: Attachment) -> WireEnd:
        return {
            **_stream(attachment),
            "consumer": attachment.step.name.replace(".", "="),
            "replica": attachment.replica,
            "replicas": attachment.step.place.replicas,
        }

    def output_of(self, attachment: Attachment) -> WireEnd:
        consumers = {step.replace(".", "="): replicas for step, replicas in attachment.consumer_replicas().items()}
        return {**_stream(attachment), "producer": attachment.job, "consumers": consumers}

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        del channel
        return ()

    def needs_shared_path(self) -> bool:
        return False


def _stream(attachment: Attachment) -> dict[str, Any]:
    names = (attachment.environment, attachment.system.workflow, attachment.channel.name)
    return {
        "transport": "nats",
        "channel": attachment.wire_name,
        "stream": "_".join(name.replace(".", "=") for name in names),
        "subject": f"gitopsd.{attachment.wire_name}",
        **attachment.channel.options,
    }
