"""Pass 6: the graph of channels: every one has a producer and a consumer, and no two share a place on disk."""

from collections.abc import Iterator, Sequence

from gitopsd.compiler.expand import used_here
from gitopsd.compiler.link import Linked
from gitopsd.compiler.loops import first_loop
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean
from gitopsd.model.system import BoundChannel, Store, System, WorkflowSummary
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS

MAX_JOINED = 250_000
"""Producing times consuming steps of one channel: each producer is told of each consumer."""

_NODE = "channel "
"""Before a channel's name among those of steps, which hold no space."""


def check(linked: Linked, system: System) -> list[Diagnostic]:
    """What can be wrong with one workflow by itself."""
    diagnostics: list[Diagnostic] = []
    for channel in system.channels.values():
        diagnostics += _check_ends(linked, system, channel)
    return [*diagnostics, *_check_loops(linked, system), *_check_groups(linked, system)]


def _check_groups(linked: Linked, system: System) -> Iterator[Diagnostic]:
    for step in system.steps.values():
        if step.place.group not in linked.groups:
            placed_at = step.chain[0] if step.chain else step.origin
            yield Diagnostic(
                code="unknown-group",
                message=f"there is no worker group `{step.place.group}` in {linked.environment.fleet}",
                location=linked.locate(placed_at, "place", "group"),
                hint=did_you_mean(step.place.group, linked.groups),
            )


def check_stores(linked: Linked, summaries: Sequence[WorkflowSummary]) -> list[Diagnostic]:
    """The directories of file-stores over all workflows: no two may be the same, nor lie one inside the other."""
    diagnostics: list[Diagnostic] = []
    stores = _Stores(linked)
    for summary in summaries:
        for store in summary.stores:
            diagnostics += stores.add(summary.workflow, store)
    return diagnostics


def _check_ends(linked: Linked, system: System, channel: BoundChannel) -> Iterator[Diagnostic]:
    if channel.producers and channel.consumers:
        yield from _check_width(linked, channel)
        return
    if channel.is_message:
        yield _lonely_message(linked, system, channel)
        return
    if not channel.producers:
        nobody = "no step writes to" if channel.consumers else "no step writes to or reads from"
        message = f"{nobody} the channel `{channel.name}`"
        side, bound = "in", "output to it: `out:"
    else:
        message = f"no step reads from the channel `{channel.name}`"
        side, bound = "out", "input to it: `in:"
    yield Diagnostic(
        code="channel-without-consumer" if channel.producers else "channel-without-producer",
        message=message,
        location=linked.locate_key(channel.origin),
        related=_ends_as_places(linked, system, channel, side),
        hint=f"bind a step's {bound} {channel.origin.pointer[-1]}`, or remove the channel",
    )


def _lonely_message(linked: Linked, system: System, channel: BoundChannel) -> Diagnostic:
    name = channel.origin.pointer[-1]
    if channel.producers:
        message, hint = "no step waits for", f"let a step wait for it: `on: {{message: {name}}}`, or remove it"
    else:
        nobody = "no step signals" if channel.consumers else "no step signals or waits for"
        message, hint = nobody, f"let a step signal it: `signals: {name}`, or give it events: `out: {name}`"
    return Diagnostic(
        code="channel-without-consumer" if channel.producers else "channel-without-producer",
        message=f"{message} the message `{channel.name}`",
        location=linked.locate_key(channel.origin),
        related=_ends_as_places(linked, system, channel, "out" if channel.producers else "in"),
        hint=hint,
    )


def _check_width(linked: Linked, channel: BoundChannel) -> Iterator[Diagnostic]:
    producers = len({end.step for end in channel.producers})
    consumers = len({end.step for end in channel.consumers})
    if producers * consumers > MAX_JOINED:
        yield Diagnostic(
            code="channel-too-wide",
            message=f"the channel `{channel.name}` joins {producers:,} steps to {consumers:,}; together they may make "
            f"{MAX_JOINED:,} pairs",
            location=linked.locate_key(channel.origin),
            hint="use several channels, or replicas of fewer steps",
        )


def _ends_as_places(linked: Linked, system: System, channel: BoundChannel, side: str) -> tuple[Related, ...]:
    ends, verb = (channel.consumers, "reads from") if side == "in" else (channel.producers, "writes to")
    own = {ON_MESSAGE: ("waits for", "on", "message"), SIGNALS: ("signals", "signals")}
    return tuple(
        related
        for step, (does, *way) in ((system.steps[end.step], own.get(end.port, (verb, side))) for end in ends)
        for related in (
            Related(message=f"`{step.name}` {does} it", location=linked.locate(step.origin, *way)),
            *used_here(linked, step.chain),
        )
    )


class _Stores:
    """The stores so far, by path and by the directories above."""

    def __init__(self, linked: Linked) -> None:
        self._linked = linked
        self._stores: dict[str, tuple[str, Store]] = {}
        self._inside: dict[str, str] = {}
        """A directory that holds a store -> that store's path."""

    def add(self, workflow: str, store: Store) -> Iterator[Diagnostic]:
        path = store.path
        above = [path[:end] for end, character in enumerate(path) if character == "/" and end > 0]
        clash = next((one for one in (path, *above) if one in self._stores), self._inside.get(path))
        self._stores.setdefault(path, (workflow, store))
        for directory in above:
            self._inside.setdefault(directory, path)
        if clash is not None:
            other_workflow, other_store = self._stores[clash]
            other = f"{other_workflow}.{other_store.channel}"
            place = self._linked.locate(other_store.origin, "path")
            yield Diagnostic(
                code="path-clash",
                message=f"the channels `{workflow}.{store.channel}` and `{other}` would share a directory",
                location=self._linked.locate(store.origin, "path"),
                related=(Related(message=f"`{other}` lies here", location=place),),
                hint="give each file-store channel a directory of its own",
            )


def _check_loops(linked: Linked, system: System) -> Iterator[Diagnostic]:
    """A step whose events come back to itself would never be done; the whole way is named."""
    onward = {
        step.name: [_NODE + channel for channel in sorted(set(step.outputs.values()))] for step in system.steps.values()
    }
    for channel in system.channels.values():
        onward[_NODE + channel.name] = sorted({end.step for end in channel.consumers})
    circle = first_loop(onward)
    loop = [name for name in circle if not name.startswith(_NODE)]
    if loop:
        by_message = any(
            system.channels[name.removeprefix(_NODE)].is_message for name in circle if name.startswith(_NODE)
        )
        loop = loop if loop[0] == loop[-1] and len(loop) > 1 else [*loop, loop[0]]  # it may have begun at a channel
        first = system.steps[loop[0]]
        yield Diagnostic(
            code="channel-loop",
            message=f"{'steps would start each other' if by_message else 'events would go round'} in a circle: "
            f"{' → '.join(loop)}",
            location=linked.locate_key(first.origin),
            related=tuple(used_here(linked, first.chain)),
            hint=f"break the circle: {'signal another message' if by_message else 'write to another channel'}",
        )
