"""From a version and a name to jobs that can be run on this machine."""

from collections.abc import Callable, Mapping
from typing import Any

from gitopsd.compiler.link import Linked
from gitopsd.compiler.local.subject import Name, NoSubject, Subject, bind_subject, find_name
from gitopsd.compiler.local.wiring import LocalRun, Wishes, wire
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.pinning import PinnedSource
from gitopsd.daemon.planning import check_source
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.repo.source import FileContents, SourceTree


def linked_version(workspace: Workspace, source: SourceTree) -> Linked:
    """The version as it is, whatever a pin says: it is this one that is to be tried. Raises DiagnosticsError."""
    front = check_source(PinnedSource(source=source), workspace.environment, workspace.memory)
    if front.linked is None:
        raise ValueError("a source without errors is linked")
    return front.linked


def find_subject(linked: Linked, source: SourceTree, text: str, params: Mapping[str, Any]) -> Subject:
    """Raises ControllerError where there is no such thing, DiagnosticsError where it can't be bound by itself."""
    return _found(source, lambda: bind_subject(linked, find_name(linked, text), params))


def subject_of(linked: Linked, source: SourceTree, name: Name, params: Mapping[str, Any]) -> Subject:
    """The same for a name that was told apart before."""
    return _found(source, lambda: bind_subject(linked, name, params))


def _found(source: SourceTree, find: Callable[[], tuple[Subject | None, list[Diagnostic]]]) -> Subject:
    try:
        subject, diagnostics = find()
    except NoSubject as unknown:
        raise ControllerError(str(unknown), unknown.hint) from unknown
    if subject is None:
        raise DiagnosticsError(diagnostics, FileContents(source.files))
    return subject


def wired(subject: Subject, source: SourceTree, wishes: Wishes) -> LocalRun:
    """Raises DiagnosticsError for what only rendering finds wrong."""
    run, diagnostics = wire(subject, wishes)
    if run is None:
        raise DiagnosticsError(diagnostics, FileContents(source.files))
    return run
