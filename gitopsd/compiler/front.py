"""The first passes: load → parse → link → expand → bind → check. They need the source alone.

Each pass takes and returns frozen values, and gives every mistake that it can find; the next one runs only when there
was no error. Nothing here reads a file, a clock, the environment or the network.

From expand to check each workflow is by itself: what came of one is remembered by everything that it follows from, so
a version costs what changed in it.
"""

from dataclasses import dataclass

import msgspec

from gitopsd.compiler.bind import bind
from gitopsd.compiler.check import check, check_stores
from gitopsd.compiler.checks.vendored import check_vendored
from gitopsd.compiler.expand import expand
from gitopsd.compiler.link import Linked, link
from gitopsd.compiler.load import load
from gitopsd.compiler.parse import parse
from gitopsd.compiler.parts import workflow_parts
from gitopsd.compiler.placement.colocate import check_together
from gitopsd.compiler.report import Report, Stop
from gitopsd.compiler.summarise import summarise
from gitopsd.model.diagnostic import Diagnostic, has_errors
from gitopsd.model.environments import artifact_branch
from gitopsd.model.memory import Forgetful, Memory, memory_key
from gitopsd.model.source import Files
from gitopsd.model.system import System, WorkflowSummary

_NOTHING = Forgetful()


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


def compile_front(files: Files, environment: str | None, memory: Memory = _NOTHING) -> Front:
    """From load to check: all that can be said of the source by itself, and which artifact branch to plan against."""
    report = Report()
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
    except Stop:
        return Front(diagnostics=report.ordered(), linked=linked)
    return Front(diagnostics=report.ordered(), linked=linked, flows=flows)


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


def _flow_key(linked: Linked, name: str) -> str:
    """Stands for everything that a workflow's system follows from."""
    environment = linked.environment
    values = [environment.params.get(name, {}), environment.transports]
    given = msgspec.json.encode(values, order="sorted").decode()
    parts = sorted(workflow_parts(linked, name).names)
    return memory_key("flow", linked.name, name, given, parts, linked.environment.fleet, linked.groups)
