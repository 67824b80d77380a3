"""Routing and rendering of each workflow once it is placed; what came of one is remembered."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from gitopsd.compiler.front import Flow
from gitopsd.compiler.link import Linked
from gitopsd.compiler.place import Placement
from gitopsd.compiler.render.release import CompiledWorkflow
from gitopsd.compiler.render.workflow import LibraryOf, RenderedWorkflow, WorkflowText, render_workflow, too_much
from gitopsd.compiler.route import route
from gitopsd.compiler.transports import TRANSPORTS
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.memory import Memory, memory_key
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.system import WorkflowSummary
from gitopsd.model.trees import BuiltTree

T = TypeVar("T")


class Workflows:
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
            text=once(lambda: self._text(flow), text),
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


def once(make: Callable[[], T], made: T | None) -> Callable[[], T]:
    """`make`, called at most once, and not at all where the value is there."""
    values = [] if made is None else [made]

    def get() -> T:
        if not values:
            values.append(make())
        return values[0]

    return get
