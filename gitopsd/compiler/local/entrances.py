"""Where events can be given to what is run, by the names that people use."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitopsd.compiler.local.subject import Subject
from gitopsd.compiler.local.ways import is_reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """A channel that is given events, or a step that reads files and is given one: the other is empty."""

    channel: str = ""
    reader: str = ""


def entrances(subject: Subject) -> Mapping[str, Entrance]:
    """Ports of a step or module, channels of a workflow, and steps that read files."""
    channels = {label: Entrance(channel=channel) for label, channel in subject.inputs.items()}
    return {**channels, **{name: Entrance(reader=name) for name in _readers(subject)}}


def beginnings(subject: Subject) -> Mapping[str, Entrance]:
    """Where events come in when nobody says where: those ports, or what a workflow begins with."""
    if subject.name.step or subject.name.module:
        return entrances(subject)
    readers = _readers(subject)
    sources = [step for name in subject.steps if not (step := subject.system.steps[name]).inputs]
    others = [step for step in sources if step.name not in readers and step.name not in subject.waiting]
    channels = [channel for step in others for channel in step.outputs.values()]
    return {
        **{channel: Entrance(channel=channel) for channel in channels},
        **{name: Entrance(reader=name) for name in readers},
    }


def _readers(subject: Subject) -> list[str]:
    return [name for name in subject.steps if is_reader(subject.system.steps[name])]
