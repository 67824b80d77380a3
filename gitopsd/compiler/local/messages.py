"""A run on a laptop gives no messages: they say when steps run, and are no events."""

from collections.abc import Mapping
from dataclasses import replace

from gitopsd.model.system import BoundChannel, BoundStep, Endpoint, System
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS

_OF_MESSAGES = frozenset({ON_MESSAGE, SIGNALS})


def without_messages(system: System) -> tuple[System, Mapping[str, str]]:
    """The system with the channels of events alone, and which step waits for which message."""
    waiting = {name: step.inputs[ON_MESSAGE] for name, step in system.steps.items() if ON_MESSAGE in step.inputs}
    steps = {name: _step(step) for name, step in system.steps.items()}
    channels = {name: _channel(channel) for name, channel in system.channels.items()}
    kept = {name: channel for name, channel in channels.items() if channel.producers or channel.consumers}
    return replace(system, steps=steps, channels=kept), waiting


def _step(step: BoundStep) -> BoundStep:
    if not _OF_MESSAGES & {*step.inputs, *step.outputs}:
        return step
    return replace(step, inputs=_of_events(step.inputs), outputs=_of_events(step.outputs))


def _channel(channel: BoundChannel) -> BoundChannel:
    return replace(channel, producers=_ends(channel.producers), consumers=_ends(channel.consumers))


def _of_events(ports: Mapping[str, str]) -> dict[str, str]:
    return {port: channel for port, channel in ports.items() if port not in _OF_MESSAGES}


def _ends(ends: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(end for end in ends if end.port not in _OF_MESSAGES)
