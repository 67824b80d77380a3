"""The pipeline: load → parse → link → bind → check → place → route → render.

Each pass takes and returns frozen values, and gives every mistake that it can find; the next one runs only when there
was no error. Nothing here reads a file, a clock, the environment or the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from gitopsd.compiler.bind import bind
from gitopsd.compiler.check import check
from gitopsd.compiler.link import Linked, link
from gitopsd.compiler.load import load
from gitopsd.compiler.parse import parse
from gitopsd.compiler.place import place
from gitopsd.compiler.render.release import MAX_RENDERED_BYTES, Rendering, render
from gitopsd.compiler.route import route
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.diagnostic import Diagnostic, has_errors, in_order
from gitopsd.model.environments import artifact_branch
from gitopsd.model.trees import Graft

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of a source tree: a rendering, or the errors that kept it from being one."""

    diagnostics: tuple[Diagnostic, ...]
    rendering: Rendering | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The part of compiling that needs the source alone."""

    diagnostics: tuple[Diagnostic, ...]
    linked: Linked | None = None

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


def compile_front(files: Mapping[str, bytes], environment: str | None) -> Front:
    """load, parse and link: all that is needed to know which artifact branch to plan against."""
    report = _Report()
    linked = None
    try:
        loaded = report.take(load(files))
        if loaded is not None:
            parsed = report.take(parse(loaded))
            if parsed is not None:
                linked = report.take(link(parsed, environment))
    except _Stop:
        return Front(diagnostics=report.ordered())
    return Front(diagnostics=report.ordered(), linked=linked)


def compile_back(
    front: Front,
    state: ArtifactState,
    runtime_files: Mapping[str, tuple[bytes, bool]],
    kept: Mapping[str, Graft],
    *,
    max_bytes: int = MAX_RENDERED_BYTES,
) -> Compiled:
    """From bind to render, for a front without errors."""
    report = _Report(list(front.diagnostics))
    if front.linked is None:
        return Compiled(diagnostics=report.ordered())
    linked = front.linked
    try:
        systems = report.take(bind(linked))
        report.take((None, check(linked, systems)))
        placement = report.take(place(linked, systems, state))
        rendering = None
        if placement is not None:
            routed = report.take(route(linked, systems, placement))
            rendering = report.take(
                render(
                    linked, placement, routed, state=state, runtime_files=runtime_files, kept=kept, max_bytes=max_bytes
                )
            )
    except _Stop:
        return Compiled(diagnostics=report.ordered())
    return Compiled(diagnostics=report.ordered(), rendering=rendering)
