"""The part of a graph that a plan changes: what a reviewer looks at, and what it is joined to."""

from collections.abc import Iterable
from dataclasses import replace

from gitopsd.model.plan import JobChange
from gitopsd.planner.graph.draw import SIGNS, Graph, GraphChannel, GraphEnd, WorkflowGraph, workflow_of

_WEIGHT = {action: place for place, action in enumerate(SIGNS)}
_QUIET = frozenset({"", "unchanged"})


def changed_workflows(changes: Iterable[JobChange], most_steps: int) -> tuple[tuple[str, ...], int]:
    """The first workflows that change, as many as have so many steps that do; and the number of those steps that the
    other ones have. First come those of which something is held or goes, then by name.
    """
    steps: dict[str, set[str]] = {}
    weight: dict[str, int] = {}
    for change in changes:
        if change.action != "unchanged":
            name = workflow_of(change)
            steps.setdefault(name, set()).add(change.job.rpartition(".")[0])
            weight[name] = min(_WEIGHT[change.action], weight.get(name, len(_WEIGHT)))
    shown: list[str] = []
    count = 0
    for name in sorted(steps, key=lambda name: (weight[name], name)):
        if count >= most_steps:
            break
        shown.append(name)
        count += len(steps[name])
    return tuple(shown), sum(map(len, steps.values())) - count


def changed_parts(graph: Graph, hidden: int) -> Graph:
    """Without the steps that stay as they are, unless a channel joins them to one that doesn't.

    `hidden`: so many steps change in workflows that the graph hasn't.
    """
    workflows = [_changed(one) for one in graph.workflows]
    return replace(graph, workflows=tuple(one for one in workflows if one.steps), hidden=hidden)


def _changed(graph: WorkflowGraph) -> WorkflowGraph:
    changing = {step.name for step in graph.steps if step.change.action not in _QUIET}
    changing |= {end.step for channel in graph.channels for end in _ends(channel) if _adapter_changes(end)}
    channels = tuple(one for one in graph.channels if changing & {end.step for end in _ends(one)})
    shown = changing | {end.step for channel in channels for end in _ends(channel)}
    return replace(graph, steps=tuple(step for step in graph.steps if step.name in shown), channels=channels)


def _ends(channel: GraphChannel) -> tuple[GraphEnd, ...]:
    return (*channel.producers, *channel.consumers)


def _adapter_changes(end: GraphEnd) -> bool:
    return end.adapter is not None and end.adapter.action not in _QUIET
