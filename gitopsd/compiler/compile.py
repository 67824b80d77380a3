"""The pipeline: load → parse → link → expand → bind → check → place → route → render.

Each pass takes and returns frozen values, and gives every mistake that it can find; the next one runs only when there
was no error. Nothing here reads a file, a clock, the environment or the network.

From expand to check each workflow is by itself, and so it is from route to render: what came of one is remembered by
everything that it follows from. So a version costs what changed in it; placing alone sees all workflows at once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

import msgspec

from gitopsd.compiler.bind import bind
from gitopsd.compiler.check import check, check_stores
from gitopsd.compiler.checks.policy import check_fleet_policy, check_policy
from gitopsd.compiler.checks.vendored import check_vendored
from gitopsd.compiler.expand import expand
from gitopsd.compiler.groups import fleet_groups
from gitopsd.compiler.link import Linked, link
from gitopsd.compiler.load import load
from gitopsd.compiler.parse import parse
from gitopsd.compiler.parts import workflow_parts
from gitopsd.compiler.place import Placement, fleet_workers, place
from gitopsd.compiler.placement.colocate import check_together
from gitopsd.compiler.render.draining import Departures
from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.release import CompiledWorkflow, Kept, Rendering, assemble
from gitopsd.compiler.render.workflow import LibraryOf, RenderedWorkflow, WorkflowText, render_workflow, too_much
from gitopsd.compiler.route import route
from gitopsd.compiler.summarise import summarise
from gitopsd.compiler.transports import TRANSPORTS
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, has_errors, in_order
from gitopsd.model.environments import artifact_branch
from gitopsd.model.memory import Forgetful, Memory, memory_key
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.source import Files
from gitopsd.model.system import System, WorkflowSummary
from gitopsd.model.trees import BuiltTree, build_tree

MAX_RENDERED_BYTES = 512 << 20
"""Of all jobs' files together, each counted where it is used."""

_NOTHING = Forgetful()

T = TypeVar("T")


class Flow:
    """One workflow after check. Its system is made when it is asked for: most are known by their summary."""

    def __init__(self, linked: Linked, name: str) -> None:
        self._linked = linked
        self.name = name
        self.key = _flow_key(linked, name)
        self.summary: WorkflowSummary | None = None
        self._system: System | None = None

    def check(self) -> list[Diagnostic]:
        """Expands, binds and checks the workflow; gives what is wrong with it."""
        expanded, diagnostics = expand(self._linked, self._linked.workflows[self.name])
        if has_errors(tuple(diagnostics)):
            return diagnostics
        system, more = bind(self._linked, expanded)
        diagnostics += more
        if not has_errors(tuple(diagnostics)):
            diagnostics += [*check(self._linked, system), *check_together(self._linked, system)]
        self._system = system
        return diagnostics

    @property
    def system(self) -> System:
        """Of a workflow without errors."""
        if self._system is None:
            self.check()
        if self._system is None:
            raise ValueError(f"{self.name} was checked before")
        return self._system


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of a source tree: a rendering, or the errors that kept it from being one."""

    diagnostics: tuple[Diagnostic, ...]
    rendering: Rendering | None = None
    placement: Placement | None = None
    flows: tuple[Flow, ...] = ()

    @property
    def moved(self) -> Mapping[str, str]:
        """Jobs that are placed elsewhere than before, with the reason."""
        return self.placement.moved if self.placement else {}

    @property
    def kept_away(self) -> Mapping[str, str]:
        """Jobs that a cordon keeps from the worker that they would have gone to, and how that is said."""
        return self.placement.kept_away if self.placement else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The part of compiling that needs the source alone."""

    diagnostics: tuple[Diagnostic, ...]
    linked: Linked | None = None
    flows: tuple[Flow, ...] = ()

    @property
    def branch(self) -> str:
        """The artifact branch of the environment. Only where linking succeeded."""
        if self.linked is None:
            raise ValueError("the source didn't link")
        return artifact_branch(self.linked.name, self.linked.environment)


@dataclass(slots=True)
class _Report:
    found: list[Diagnostic] = field(default_factory=list)

    def take(self, result: tuple[T, list[Diagnostic]]) -> T:
        """The pass's value, its diagnostics noted; raises _Stop when one of them is an error."""
        value, diagnostics = result
        self.found += diagnostics
        if has_errors(tuple(diagnostics)):
            raise _Stop
        return value

    def ordered(self) -> tuple[Diagnostic, ...]:
        return in_order(self.found)


class _Stop(Exception):  # noqa: N818 - not an error: the end of a pipeline
    """A pass found an error, so the next one doesn't run."""


def compile_front(files: Files, environment: str | None, memory: Memory = _NOTHING) -> Front:
    """From load to check: all that can be said of the source by itself, and which artifact branch to plan against."""
    report = _Report()
    linked: Linked | None = None
    try:
        loaded = report.take(load(files))
        report.take((None, check_vendored(files)))  # before what somebody edited in a copy is taken for the original
        if loaded is not None:
            parsed = report.take(parse(loaded, memory))
            if parsed is not None:
                linked = report.take(link(parsed, environment, memory))
        if linked is None:
            return Front(diagnostics=report.ordered())
        flows = report.take(_check_flows(linked, memory))
    except _Stop:
        return Front(diagnostics=report.ordered(), linked=linked)
    return Front(diagnostics=report.ordered(), linked=linked, flows=flows)


def compile_back(
    front: Front,
    state: ArtifactState,
    runtime_files: Mapping[str, tuple[bytes, bool]],
    kept: Kept,
    memory: Memory = _NOTHING,
    *,
    library: LibraryOf,
    held: Mapping[str, HeldWorkflow] = MappingProxyType({}),
    departures: Departures | None = None,
    max_bytes: int = MAX_RENDERED_BYTES,
) -> Compiled:
    """From place to render, for a front without errors. `kept` are files of the artifact branch that are put back.

    `library` gives what ships beside the runtime for the jobs that need it.

    `held` are the workflows that are neither placed nor rendered: their jobs are put back as they were. `departures`
    knows what is deployed, and which of that drains before it goes.
    """
    report = _Report(list(front.diagnostics))
    if front.linked is None or has_errors(front.diagnostics):
        return Compiled(diagnostics=report.ordered())
    linked, flows = front.linked, front.flows
    try:
        workers = fleet_workers(linked)
        summaries = [flow.summary for flow in flows if flow.summary]
        report.take((None, _check_policy(linked, summaries, workers, state.policy)))
        own = [summary for summary in summaries if summary.workflow not in held]
        taken = Counter(job.worker for workflow in held.values() for job in workflow.jobs)
        placement = report.take(place(linked, workers, own, state, taken))
        if placement is None:
            return Compiled(diagnostics=report.ordered())
        back = _Back(
            linked,
            placement,
            policy=state.policy,
            runtime=build_tree(runtime_files),
            library=library,
            memory=memory,
            max_bytes=max_bytes,
        )
        compiled = report.take(back.compile([flow for flow in flows if flow.name not in held]))
        compiled = sorted([*compiled, *map(_as_it_was, _with_record(held))], key=lambda workflow: workflow.name)
        report.take((None, _check_jobs(linked, compiled, state.policy)))
        rendering = assemble(
            linked.name,
            compiled,
            placement,
            groups=fleet_groups(linked, summaries),
            state=state,
            runtime=back.runtime,
            library=library,
            kept=kept,
            memory=memory,
            held=held,
            departures=departures,
        )
    except _Stop:
        return Compiled(diagnostics=report.ordered(), flows=flows)
    return Compiled(diagnostics=report.ordered(), rendering=rendering, placement=placement, flows=flows)


def _with_record(held: Mapping[str, HeldWorkflow]) -> list[HeldWorkflow]:
    """Those that there is a deployment to return to, whether or not any of its jobs can be had back."""
    return [workflow for workflow in held.values() if workflow.returns_to]


def _as_it_was(held: HeldWorkflow) -> CompiledWorkflow:
    return CompiledWorkflow(
        name=held.name, digest=held.compiled, key=held.key, rendered=held.rendered, text=_once(held.files, None)
    )


def _check_flows(linked: Linked, memory: Memory) -> tuple[tuple[Flow, ...], list[Diagnostic]]:
    """Every workflow, in the order of their names."""
    diagnostics: list[Diagnostic] = []
    flows = [Flow(linked, name) for name in sorted(linked.workflows)]
    shipped = {folder: library.shipped for folder, library in linked.libraries.items()}
    for flow in flows:
        flow.summary = memory.recall(flow.key, WorkflowSummary)
        if flow.summary is None:
            mistakes = flow.check()
            diagnostics += mistakes
            if not mistakes:
                flow.summary = summarise(flow.system, shipped)
                memory.keep(flow.key, flow.summary)
    if not diagnostics:
        diagnostics += check_stores(linked, [flow.summary for flow in flows if flow.summary])
    return tuple(flows), diagnostics


def _check_policy(
    linked: Linked,
    summaries: Sequence[WorkflowSummary],
    workers: Mapping[str, PlacedWorker],
    policy: PolicyRecord | None,
) -> list[Diagnostic]:
    if policy is None:
        return []
    fleet = linked.fleet
    return [
        *check_policy(policy, summaries, linked.locate_key),
        *check_fleet_policy(
            policy,
            workers,
            lambda name: fleet.document.locate_key("groups", workers[name].group, "workers", name),
        ),
    ]


def _check_jobs(linked: Linked, compiled: Sequence[CompiledWorkflow], policy: PolicyRecord | None) -> list[Diagnostic]:
    """The number of jobs with the adapters among them, which only routing knows."""
    jobs = sum(len(workflow.rendered.jobs) for workflow in compiled)
    if policy is None or policy.max_jobs is None or jobs <= policy.max_jobs:
        return []
    largest = max(compiled, key=lambda workflow: len(workflow.rendered.jobs)).name
    return [
        Diagnostic(
            code="too-many-jobs-for-policy",
            message=f"with their adapters all steps come to {jobs:,} jobs, and the policy allows {policy.max_jobs:,}",
            location=linked.workflows[largest].document.locate_key("steps"),
            hint="ask for fewer replicas, take channels that the steps speak, or have `policy.max_jobs` raised",
        )
    ]


def _flow_key(linked: Linked, name: str) -> str:
    """Stands for everything that a workflow's system follows from."""
    environment = linked.environment
    values = [environment.params.get(name, {}), environment.transports]
    given = msgspec.json.encode(values, order="sorted").decode()
    parts = sorted(workflow_parts(linked, name).names)
    return memory_key("flow", linked.name, name, given, parts, linked.environment.fleet, linked.groups)


class _Back:
    """Routes and renders each workflow, or remembers what came of it."""

    def __init__(
        self,
        linked: Linked,
        placement: Placement,
        *,
        policy: PolicyRecord | None,
        runtime: BuiltTree,
        library: LibraryOf,
        memory: Memory,
        max_bytes: int,
    ) -> None:
        self._linked = linked
        self._placement = placement
        self._policy = policy
        self.runtime = runtime
        self._library = library
        self._memory = memory
        self._max_bytes = max_bytes
        self._workers = {name: _seen_by_jobs(worker) for name, worker in placement.workers.items()}

    def compile(self, flows: Sequence[Flow]) -> tuple[list[CompiledWorkflow], list[Diagnostic]]:
        compiled: list[CompiledWorkflow] = []
        diagnostics: list[Diagnostic] = []
        size = 0
        for flow in flows:
            workflow, mistakes = self._workflow(flow)
            diagnostics += mistakes
            if workflow is None:
                continue
            compiled.append(workflow)
            size += workflow.rendered.size
            if size > self._max_bytes:
                location = self._linked.documents[self._linked.workflows[flow.name].path].document.locate_key("steps")
                error = too_much(size, self._max_bytes)
                message = f"{flow.name}: {error}"
                diagnostics.append(Diagnostic(code=error.code, message=message, location=location, hint=error.hint))
                break
        return compiled, diagnostics

    def _workflow(self, flow: Flow) -> tuple[CompiledWorkflow | None, list[Diagnostic]]:
        if flow.summary is None:
            raise ValueError(f"{flow.name} was checked before")
        key = self._key(flow.summary, flow.key)
        rendered = self._memory.recall(key, RenderedWorkflow)
        text: WorkflowText | None = None
        if rendered is None:
            text, mistakes = self._render(flow)
            if mistakes or text is None:
                return None, mistakes
            rendered = text.rendered
            self._memory.keep(key, rendered)
        return CompiledWorkflow(
            name=flow.name,
            digest=flow.summary.digest,
            key=key,
            rendered=rendered,
            text=_once(lambda: self._text(flow), text),
        ), []

    def _text(self, flow: Flow) -> WorkflowText:
        text, mistakes = self._render(flow)
        if text is None:
            raise ValueError(f"{flow.name} rendered before, and now: {mistakes}")
        return text

    def _render(self, flow: Flow) -> tuple[WorkflowText | None, list[Diagnostic]]:
        routed, mistakes = route(self._linked, flow.system, self._placement)
        if mistakes:
            return None, mistakes
        text, mistakes = render_workflow(
            self._linked,
            routed,
            compiled=flow.summary.digest if flow.summary else "",
            runtime=self.runtime,
            library=self._library,
            policy=self._policy,
            max_bytes=self._max_bytes,
        )
        return (None if mistakes else text), mistakes

    def _key(self, summary: WorkflowSummary, flow_key: str) -> str:
        """Stands for everything that a workflow's rendering follows from."""
        placed = self._placement.jobs
        where = [placed[jobs[0]] for company in summary.companies for jobs in company.jobs]
        policy = self._policy
        settings = ("*",) if policy is None or policy.unit_settings is None else policy.unit_settings
        allowed = (policy.users if policy else (), settings)
        described = [self._workers[name] for name in sorted(set(where))]
        libraries = sorted({name for transport in summary.transports for name in TRANSPORTS[transport].libraries})
        shipped = [self.runtime.id, *(self._library(name).id for name in libraries)]
        return memory_key("rendered", flow_key, shipped, where, described, *allowed, str(self._max_bytes))


def _seen_by_jobs(worker: PlacedWorker) -> str:
    """What rendering asks of a worker."""
    shown = [worker.name, worker.group, worker.service_manager, worker.labels, worker.mounts]
    return msgspec.json.encode(shown, order="sorted").decode()


def _once(make: Callable[[], T], made: T | None) -> Callable[[], T]:
    """`make`, called at most once, and not at all where the value is there."""
    values = [] if made is None else [made]

    def get() -> T:
        if not values:
            values.append(make())
        return values[0]

    return get
