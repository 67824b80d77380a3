"""Which steps must run side by side: those that `worker` channels join."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitopsd.compiler.link import Linked
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.system import BoundChannel, BoundStep, System, job_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """Steps of one workflow that `worker` channels keep together: replica i of each beside replica i of the others."""

    system: System
    steps: tuple[BoundStep, ...]
    name: str
    replicas: int

    def jobs(self, replica: int) -> list[str]:
        return [job_name(self.system.workflow, step.name, replica) for step in self.steps]


def companies(linked: Linked, systems: Sequence[System]) -> tuple[list[Company], list[Diagnostic]]:
    """All steps in sets that must share workers, in the order of their names; reports sets that can't."""
    together: list[Company] = []
    diagnostics: list[Diagnostic] = []
    for system in systems:
        leader = {name: name for name in system.steps}
        for channel in system.channels.values():
            if channel.transport != "worker":
                continue
            ends = sorted({end.step for end in (*channel.producers, *channel.consumers)})
            diagnostics += _differences(linked, system, channel, ends)
            for name in ends[1:]:
                low, high = sorted((_find(leader, ends[0]), _find(leader, name)))
                leader[high] = low
        members: dict[str, list[BoundStep]] = {}
        for name, step in system.steps.items():
            members.setdefault(_find(leader, name), []).append(step)
        together += [
            Company(
                system=system,
                steps=tuple(steps),
                name=f"{system.workflow}.{steps[0].name}",
                replicas=steps[0].place.replicas,
            )
            for _, steps in sorted(members.items())
        ]
    return together, diagnostics


def _find(leader: dict[str, str], name: str) -> str:
    while leader[name] != name:
        leader[name] = leader[leader[name]]  # halves the way for the next who asks
        name = leader[name]
    return name


def _differences(linked: Linked, system: System, channel: BoundChannel, ends: Sequence[str]) -> Iterator[Diagnostic]:
    document = linked.workflows[system.workflow].document
    for name in ends[1:]:
        first, other = system.steps[ends[0]], system.steps[name]
        difference = _cannot_share(first, other)
        unknown = {first.place.group, other.place.group} - linked.fleet.value.groups.keys()
        if unknown or not difference:
            continue  # an unknown group is told by itself
        places = tuple(
            Related(message=f"`{step.name}` is placed here", location=document.locate_key("steps", step.name, "place"))
            for step in (first, other)
        )
        yield Diagnostic(
            code="cannot-colocate",
            message=(
                f"the `worker` channel `{channel.name}` keeps `{first.name}` and `{other.name}` on the same workers, "
                f"but {difference}"
            ),
            location=document.locate("channels", channel.name, "transport"),
            related=places,
            hint="place both alike, or let the channel cross machines: `transport: file-store` with a shared path",
        )


def _cannot_share(first: BoundStep, other: BoundStep) -> str:
    if first.place.group != other.place.group:
        return f"one is placed in the group `{first.place.group}` and the other in `{other.place.group}`"
    if first.place.replicas != other.place.replicas:
        return f"one has {first.place.replicas} replicas and the other {other.place.replicas}"
    return ""
