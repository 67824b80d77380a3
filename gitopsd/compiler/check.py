"""Pass 5: the graph of channels: every one has a producer and a consumer, and no two share a place on disk."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from gitopsd.compiler.link import Linked
from gitopsd.compiler.yaml_reader import Document
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.system import BoundChannel, System


def check(linked: Linked, systems: Sequence[System]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    paths: dict[str, tuple[str, Location]] = {}
    for system in systems:
        document = linked.workflows[system.workflow].document
        for channel in system.channels.values():
            diagnostics += _check_ends(system, channel, document)
            if channel.path:
                diagnostics += _check_path(system, channel, document, paths)
        diagnostics += _check_loops(system, document)
    return diagnostics


def _check_ends(system: System, channel: BoundChannel, document: Document) -> list[Diagnostic]:
    here = document.locate_key("channels", channel.name)
    diagnostics: list[Diagnostic] = []
    if not channel.producers:
        diagnostics.append(
            Diagnostic(
                code="channel-without-producer",
                message=f"no step writes to the channel `{channel.name}`",
                location=here,
                related=_ends_as_places(document, channel, "in"),
                hint=f"bind a step's output to it: `out: {channel.name}`, or remove the channel",
            )
        )
    if not channel.consumers:
        diagnostics.append(
            Diagnostic(
                code="channel-without-consumer",
                message=f"no step reads from the channel `{channel.name}`",
                location=here,
                related=_ends_as_places(document, channel, "out"),
                hint=f"bind a step's input to it: `in: {channel.name}`, or remove the channel",
            )
        )
    return diagnostics


def _ends_as_places(document: Document, channel: BoundChannel, side: str) -> tuple[Related, ...]:
    ends, verb = (channel.consumers, "reads from") if side == "in" else (channel.producers, "writes to")
    return tuple(
        Related(message=f"`{end.step}` {verb} it", location=document.locate("steps", end.step, side)) for end in ends
    )


def _check_path(
    system: System, channel: BoundChannel, document: Document, paths: dict[str, tuple[str, Location]]
) -> list[Diagnostic]:
    """Two stores may not share a directory, nor lie one inside the other."""
    here = document.locate("channels", channel.name, "path")
    name = f"{system.workflow}.{channel.name}"
    clashes = [
        other for path, other in paths.items() if (channel.path + "/").startswith(path + "/") or path.startswith(channel.path + "/")
    ]  # fmt: skip
    paths.setdefault(channel.path, (name, here))
    return [
        Diagnostic(
            code="path-clash",
            message=f"the channels `{name}` and `{other}` would share a directory",
            location=here,
            related=(Related(message=f"`{other}` lies here", location=place),),
            hint="give each file-store channel a directory of its own",
        )
        for other, place in clashes
    ]


def _check_loops(system: System, document: Document) -> list[Diagnostic]:
    """A step whose events come back to itself would never be done; the whole way is named."""
    onward: Mapping[str, list[str]] = {
        step.name: sorted(
            {end.step for channel in step.outputs.values() for end in system.channels[channel].consumers}
        )
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
