"""What a transport tells the compiler."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gitopsd.model.system import BoundChannel, BoundStep, System, job_name

WireEnd = dict[str, Any]
"""One end of a channel as `job.json` holds it for the runner: JSON with the key `transport`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One replica of one step, attached to one channel."""

    environment: str
    system: System
    channel: BoundChannel
    step: BoundStep
    replica: int

    @property
    def wire_name(self) -> str:
        return f"{self.environment}.{self.system.workflow}.{self.channel.name}"

    @property
    def job(self) -> str:
        return job_name(self.system.workflow, self.step.name, self.replica)

    def consumer_replicas(self) -> Mapping[str, int]:
        """Each consuming step, and how many replicas share its events."""
        return {end.step: self.system.steps[end.step].place.replicas for end in self.channel.consumers}


class Transport(Protocol):
    """One kind of channel. `libraries` are those of `gitopsd/runner/bundle.py` that its ends need beside the runner."""

    libraries: tuple[str, ...]

    def input_of(self, attachment: Attachment) -> WireEnd:
        """What the consuming job is told."""
        ...

    def output_of(self, attachment: Attachment) -> WireEnd:
        """What the producing job is told."""
        ...

    def directories(self, channel: BoundChannel) -> tuple[str, ...]:
        """Directories that jobs at either end write to."""
        ...

    def needs_shared_path(self) -> bool:
        """Whether workers at both ends must see the channel's path as one."""
        ...


def socket_name(*parts: str) -> str:
    """12 hex digits that name a socket; short, since a socket's path is limited to 108 bytes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
