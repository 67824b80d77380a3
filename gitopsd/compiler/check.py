"""Pass 5: the graph of channels: every one has a producer and a consumer, and no two share a place on disk."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from gitopsd.compiler.link import Linked
from gitopsd.compiler.yaml_reader import Document
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.system import BoundChannel, System


def check(linked: Linked, systems: Sequence[System]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    stores = _Stores(linked)
    for system in systems:
        document = linked.workflows[system.workflow].document
        for channel in system.channels.values():
            diagnostics += _check_ends(channel, document)
            if channel.path:
                diagnostics += stores.add(system, channel)
        diagnostics += _check_loops(system, document)
    return diagnostics


def _check_ends(channel: BoundChannel, document: Document) -> Iterator[Diagnostic]:
    if not channel.producers:
        nobody = "no step writes to" if channel.consumers else "no step writes to or reads from"
        yield Diagnostic(
            code="channel-without-producer",
            message=f"{nobody} the channel `{channel.name}`",
            location=document.locate_key("channels", channel.name),
            related=_ends_as_places(document, channel, "in"),
            hint=f"bind a step's output to it: `out: {channel.name}`, or remove the channel",
        )
    elif not channel.consumers:
        yield Diagnostic(
            code="channel-without-consumer",
            message=f"no step reads from the channel `{channel.name}`",
            location=document.locate_key("channels", channel.name),
            related=_ends_as_places(document, channel, "out"),
            hint=f"bind a step's input to it: `in: {channel.name}`, or remove the channel",
        )


def _ends_as_places(document: Document, channel: BoundChannel, side: str) -> tuple[Related, ...]:
    ends, verb = (channel.consumers, "reads from") if side == "in" else (channel.producers, "writes to")
    return tuple(
        Related(message=f"`{end.step}` {verb} it", location=document.locate("steps", end.step, side)) for end in ends
    )


class _Stores:
    """The directories of file-stores: no two may be the same, nor lie one inside the other."""

    def __init__(self, linked: Linked) -> None:
        self._linked = linked
        self._stores: dict[str, tuple[System, BoundChannel]] = {}
        self._inside: dict[str, str] = {}
        """A directory that holds a store -> that store's path."""

    def add(self, system: System, channel: BoundChannel) -> Iterator[Diagnostic]:
        path = channel.path
        above = [path[:end] for end, character in enumerate(path) if character == "/" and end > 0]
        clash = next((one for one in (path, *above) if one in self._stores), self._inside.get(path))
        self._stores.setdefault(path, (system, channel))
        for directory in above:
            self._inside.setdefault(directory, path)
        if clash is not None:
            other_system, other_channel = self._stores[clash]
            other = f"{other_system.workflow}.{other_channel.name}"
            yield Diagnostic(
                code="path-clash",
                message=f"the channels `{system.workflow}.{channel.name}` and `{other}` would share a directory",
                location=self._place(system, channel),
                related=(Related(message=f"`{other}` lies here", location=self._place(other_system, other_channel)),),
                hint="give each file-store channel a directory of its own",
            )

    def _place(self, system: System, channel: BoundChannel) -> Location:
        return self._linked.workflows[system.workflow].document.locate("channels", channel.name, "path")


def _check_loops(system: System, document: Document) -> list[Diagnostic]:
    """A step whose events come back to itself would never be done; the whole way is named."""
    onward: Mapping[str, list[str]] = {
        step.name: sorted({end.step for channel in step.outputs.values() for end in system.channels[channel].consumers})
        for step in system.steps.values()
    }
    loop = _first_loop(onward)
    if not loop:
        return []
    return [
        Diagnostic(
            code="channel-loop",
            message=f"events would go round in a circle: {' → '.join(loop)}",
            location=document.locate_key("steps", loop[0]),
            hint="break the circle: write to another channel",
        )
    ]


def _first_loop(onward: Mapping[str, list[str]]) -> list[str]:
    try:
        TopologicalSorter(onward).prepare()
    except CycleError as error:
        # graphlib walks from a step to what comes before it
        return list(reversed(error.args[1]))
    return []
