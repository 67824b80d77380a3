"""Which steps must run side by side: those that `worker` channels join."""

from collections.abc import Iterator, Sequence

import msgspec

from gitopsd.compiler.link import Linked
from gitopsd.compiler.words import counted
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.system import BoundChannel, BoundStep, Company, StepNeeds, System, job_name


def company_of(workflow: str, steps: Sequence[StepNeeds]) -> Company:
    """`steps` are in the order of their names, and alike in group, replicas and strategy."""
    wishes = sorted({(step.constraints, step.features) for step in steps})
    return Company(
        name=f"{workflow}.{steps[0].name}",
        wish=msgspec.json.encode([steps[0].group, wishes]).decode(),
        steps=tuple(steps),
        jobs=tuple(
            tuple(job_name(workflow, step.name, replica) for step in steps) for replica in range(steps[0].replicas)
        ),
    )


def kept_together(system: System) -> list[list[str]]:
    """The names of all steps, in their order, in sets that `worker` channels join."""
    leader = {name: name for name in system.steps}
    for channel in system.channels.values():
        if channel.transport == "worker":
            ends = _ends(channel)
            for name in ends[1:]:
                low, high = sorted((_find(leader, ends[0]), _find(leader, name)))
                leader[high] = low
    members: dict[str, list[str]] = {}
    for name in system.steps:
        members.setdefault(_find(leader, name), []).append(name)
    return [names for _, names in sorted(members.items())]


def check_together(linked: Linked, system: System) -> Iterator[Diagnostic]:
    """`worker` channels whose ends can't share workers."""
    for channel in system.channels.values():
        if channel.transport == "worker":
            yield from _differences(linked, system, channel, _ends(channel))


def _ends(channel: BoundChannel) -> list[str]:
    return sorted({end.step for end in (*channel.producers, *channel.consumers)})


def _find(leader: dict[str, str], name: str) -> str:
    while leader[name] != name:
        leader[name] = leader[leader[name]]  # halves the way for the next who asks
        name = leader[name]
    return name


def _differences(linked: Linked, system: System, channel: BoundChannel, ends: Sequence[str]) -> Iterator[Diagnostic]:
    for name in ends[1:]:
        first, other = system.steps[ends[0]], system.steps[name]
        difference = _cannot_share(first, other)
        unknown = {first.place.group, other.place.group} - set(linked.groups)
        if unknown or not difference:
            continue  # an unknown group is told by itself
        places = tuple(
            Related(
                message=f"`{step.name}` is placed here",
                location=linked.locate_key(step.chain[0] if step.chain else step.origin, "place"),
            )
            for step in (first, other)
        )
        what = "message" if channel.is_message else "channel"
        yield Diagnostic(
            code="cannot-colocate",
            message=(
                f"the `worker` {what} `{channel.name}` keeps `{first.name}` and `{other.name}` on the same workers, "
                f"but {difference}"
            ),
            location=linked.locate(channel.origin, "transport"),
            related=places,
            hint=f"place both alike, or let the {what} cross machines: `transport: file-store` with a shared path",
        )


def _cannot_share(first: BoundStep, other: BoundStep) -> str:
    one, two = first.place, other.place
    if one.group != two.group:
        return f"one is placed in the group `{one.group}` and the other in `{two.group}`"
    if one.replicas != two.replicas:
        return f"one has {counted(one.replicas, 'replica')} and the other {two.replicas}"
    if one.strategy != two.strategy:
        return f"one has the strategy `{one.strategy}` and the other `{two.strategy}`"
    return ""
