"""A workflow as a picture shows it: steps, modules, channels, where each step runs, and what a plan would do to it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from types import MappingProxyType

from gitopsd.compiler.route import adapter_step
from gitopsd.model.plan import JobChange
from gitopsd.model.system import BoundChannel, BoundStep, Endpoint, System, job_name

SIGNS: Mapping[str, str] = {"held": "!", "delete": "-", "create": "+", "move": ">", "update": "~", "unchanged": "="}
"""Action -> its sign; of several actions of one step the first of these gives the colour."""

_WORKERS_NAMED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a plan does to the replicas of a step: action -> how many, in the order of `SIGNS`. Empty without a plan."""

    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """The one that gives the colour; empty without a plan."""
        return next(iter(self.counts), "")

    def __str__(self) -> str:
        """`+ create`, or `+ 1 create, = 2 unchanged` where the replicas differ."""
        if len(self.counts) == 1:
            return f"{SIGNS[self.action]} {self.action}"
        return ", ".join(f"{SIGNS[action]} {count} {action}" for action, count in self.counts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphStep:
    """One step. A step that leaves with the plan has a name and a change, and nothing else."""

    name: str
    use: str = ""
    group: str = ""
    replicas: int = 0
    workers: tuple[str, ...] = ()
    schedule: str = ""
    change: Change = Change()

    @property
    def place(self) -> str:
        """`edge (3 replicas): edge-1, edge-2 +1`, and `, at hourly` of a scheduled step."""
        if not self.group:
            return ""
        replicas = f" ({self.replicas} replicas)" if self.replicas > 1 else ""
        more = f" +{len(self.workers) - _WORKERS_NAMED}" if len(self.workers) > _WORKERS_NAMED else ""
        named = ", ".join(self.workers[:_WORKERS_NAMED])
        at = f", at {self.schedule}" if self.schedule else ""
        return f"{self.group}{replicas}" + (f": {named}{more}" if named else "") + at


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEnd:
    """A step at one end of a channel; `adapter` is the change of the adapter job in between, where there is one."""

    step: str
    adapter: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphChannel:
    name: str
    transport: str
    producers: tuple[GraphEnd, ...]
    consumers: tuple[GraphEnd, ...]
    is_message: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowGraph:
    """One workflow. Steps inside a module are named `outer.inner`, as are modules inside modules."""

    workflow: str
    steps: tuple[GraphStep, ...]
    channels: tuple[GraphChannel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """All that one picture shows. `hidden`: so many steps were left out of it."""

    environment: str
    workflows: tuple[WorkflowGraph, ...]
    hidden: int = 0

    @property
    def title(self) -> str:
        names = ", ".join(graph.workflow for graph in self.workflows[:3]) + (" and more" * (len(self.workflows) > 3))
        return f"{names or 'no workflow'} in {self.environment}"

    @property
    def note(self) -> str:
        """What the picture doesn't show; empty where it shows everything."""
        if not self.hidden:
            return ""
        shown = sum(len(graph.steps) for graph in self.workflows)
        return f"{shown:,} of {shown + self.hidden:,} steps are shown; name a workflow to see one by itself"

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that occur, for the legend; none without a plan."""
        changes = [step.change for graph in self.workflows for step in graph.steps]
        changes += [end.adapter for end in self._ends() if end.adapter]
        used = {action for change in changes for action in change.counts}
        return tuple(action for action in SIGNS if action in used)

    def _ends(self) -> Iterable[GraphEnd]:
        for graph in self.workflows:
            for channel in graph.channels:
                yield from (*channel.producers, *channel.consumers)


def draw_graph(
    environment: str,
    systems: Sequence[System],
    placed: Mapping[str, str],
    adapters: Collection[str],
    changes: Sequence[JobChange] | None,
    *,
    schedules: Mapping[str, str] = MappingProxyType({}),
) -> Graph:
    """What is to be seen of these workflows.

    `placed`: job -> worker. `schedules`: scheduled job -> when it runs. `adapters`: the names of the adapter jobs.
    `changes`: those of a plan that are about these workflows; None without a plan. Steps, and whole workflows, that
    leave with the plan are part of the picture.
    """
    by_step = _changes_by_step(changes or ())
    workflows = []
    for system in systems:
        drawing = _Drawing(system, placed, schedules, frozenset(adapters), by_step.pop(system.workflow, {}))
        workflows.append(drawing.graph())
    workflows += [WorkflowGraph(workflow=name, steps=_removed(steps)) for name, steps in sorted(by_step.items())]
    return Graph(environment=environment, workflows=tuple(workflows))


def bounded(graph: Graph, most_steps: int) -> Graph:
    """At most so many steps, those that a plan changes first, then in the direction of the flow."""
    ranked = [
        (step.change.action in {"", "unchanged"}, position, step.name)
        for position, one in enumerate(graph.workflows)
        for step in _in_flow(one)
    ]
    if len(ranked) <= most_steps:
        return graph
    kept: dict[int, set[str]] = {}
    for _, position, name in sorted(ranked, key=lambda one: one[0])[:most_steps]:
        kept.setdefault(position, set()).add(name)
    workflows = tuple(_only(graph.workflows[position], kept[position]) for position in sorted(kept))
    return replace(graph, workflows=workflows, hidden=graph.hidden + len(ranked) - most_steps)


def _in_flow(graph: WorkflowGraph) -> list[GraphStep]:
    """Producers before consumers."""
    steps = {("step", step.name): step for step in graph.steps}
    before: dict[tuple[str, str], list[tuple[str, str]]] = {key: [] for key in steps}
    for channel in graph.channels:
        node = ("channel", channel.name)
        before[node] = [("step", end.step) for end in channel.producers]
        for end in channel.consumers:
            before["step", end.step].append(node)
    return [steps[key] for key in TopologicalSorter(before).static_order() if key in steps]


def _only(graph: WorkflowGraph, kept: set[str]) -> WorkflowGraph:
    channels = []
    for channel in graph.channels:
        producers = tuple(end for end in channel.producers if end.step in kept)
        consumers = tuple(end for end in channel.consumers if end.step in kept)
        if producers and consumers:
            channels.append(replace(channel, producers=producers, consumers=consumers))
    steps = tuple(step for step in graph.steps if step.name in kept)
    return replace(graph, steps=steps, channels=tuple(channels))


def workflow_of(change: JobChange) -> str:
    return change.job.partition(".")[0]


def _changes_by_step(changes: Sequence[JobChange]) -> dict[str, dict[str, Change]]:
    """Workflow -> step, adapters among them -> what happens to its replicas."""
    counted: dict[str, dict[str, Counter[str]]] = {}
    for change in changes:
        step = change.job.partition(".")[2].rpartition(".")[0]
        counted.setdefault(workflow_of(change), {}).setdefault(step, Counter())[change.action] += 1
    return {
        workflow: {
            step: Change(counts={action: counts[action] for action in SIGNS if counts[action]})
            for step, counts in steps.items()
        }
        for workflow, steps in counted.items()
    }


def _removed(changes: Mapping[str, Change]) -> tuple[GraphStep, ...]:
    return tuple(GraphStep(name=name, change=change) for name, change in sorted(changes.items()))


class _Drawing:
    def __init__(
        self,
        system: System,
        placed: Mapping[str, str],
        schedules: Mapping[str, str],
        adapters: frozenset[str],
        changes: Mapping[str, Change],
    ) -> None:
        self._system = system
        self._placed = placed
        self._schedules = schedules
        self._adapters = adapters
        self._changes = dict(changes)

    def graph(self) -> WorkflowGraph:
        steps = tuple(self._step(step) for step in self._system.steps.values())
        channels = tuple(self._channel(channel) for channel in self._system.channels.values())
        return WorkflowGraph(
            workflow=self._system.workflow, steps=(*steps, *_removed(self._changes)), channels=channels
        )  # fmt: skip

    def _step(self, step: BoundStep) -> GraphStep:
        jobs = [job_name(self._system.workflow, step.name, replica) for replica in range(step.place.replicas)]
        workers = {self._placed[job] for job in jobs if job in self._placed}
        return GraphStep(
            name=step.name,
            use=step.use,
            group=step.place.group,
            replicas=step.place.replicas,
            workers=tuple(sorted(workers)),
            schedule=" and ".join(dict.fromkeys(self._schedules[job] for job in jobs if job in self._schedules)),
            change=self._changes.pop(step.name, Change()),
        )

    def _channel(self, channel: BoundChannel) -> GraphChannel:
        return GraphChannel(
            name=channel.name,
            transport=channel.transport,
            producers=tuple(self._end(channel, end, "out") for end in channel.producers),
            consumers=tuple(self._end(channel, end, "in") for end in channel.consumers),
            is_message=channel.is_message,
        )

    def _end(self, channel: BoundChannel, end: Endpoint, side: str) -> GraphEnd:
        adapter = adapter_step(end.step, side, channel.name)
        if job_name(self._system.workflow, adapter, 0) not in self._adapters:
            return GraphEnd(step=end.step)
        return GraphEnd(step=end.step, adapter=self._changes.pop(adapter, Change()))
