"""From a version and a name to jobs that can be run on this machine."""

from collections.abc import Mapping
from typing import Any

from gitopsd.compiler.link import Linked
from gitopsd.compiler.local.run import LocalRun, Wishes
from gitopsd.compiler.local.subject import NoSubject, Subject, bind_subject, find_name
from gitopsd.compiler.local.wiring import wire
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.planning.pinning import PinnedSource
from gitopsd.daemon.planning.plan import check_source
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.source import FileContents, SourceTree


def linked_version(workspace: Workspace, source: SourceTree) -> Linked:
    """The version as it is, whatever a pin says: it is this one that is to be tried. Raises DiagnosticsError."""
    front = check_source(PinnedSource(source=source), workspace.environment, workspace.memory)
    if front.linked is None:
        raise ValueError("a source without errors is linked")
    return front.linked


def find_subject(linked: Linked, source: SourceTree, text: str, params: Mapping[str, Any]) -> Subject:
    """Raises ControllerError where there is no such thing, DiagnosticsError where it can't be bound by itself."""
    try:
        subject, diagnostics = bind_subject(linked, find_name(linked, text), params)
    except NoSubject as unknown:
        raise ControllerError(str(unknown), unknown.hint) from unknown
    if subject is None:
        raise DiagnosticsError(diagnostics, FileContents(source.files))
    return subject


def wired(subject: Subject, source: SourceTree, wishes: Wishes) -> LocalRun:
    """Raises DiagnosticsError for what only rendering finds wrong, ControllerError where nothing would run."""
    run, diagnostics = wire(subject, wishes)
    if run is None:
        raise DiagnosticsError(diagnostics, FileContents(source.files))
    if not any(step.is_run for step in run.steps):
        reasons = [f"`{step.name}`: {step.why}" for step in run.steps if step.way == "left-out"]
        raise ControllerError(f"nothing of {subject.name} would run over these events", "; ".join(reasons))
    return run
