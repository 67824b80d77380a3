"""`nats`: a stream of NATS JetStream for each channel, and in it a durable consumer for each consuming step.

A message is a batch of whole lines. Both ends make what is missing (stream.py), so it doesn't matter who comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.transports.nats.consumer import NatsInput
from gitopsd.runner.transports.nats.producer import NatsOutput

if TYPE_CHECKING:
    from gitopsd.runner.flow import Input, Output
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings


def make_input(endpoint: Settings, context: Context) -> Input:
    return NatsInput(endpoint, context)


def make_outputs(endpoint: Settings, context: Context) -> list[Output]:
    return [NatsOutput(endpoint, context)]
