"""What can be said of a version without looking at what is deployed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gitopsd.compiler.back import compile_back
from gitopsd.compiler.environment import environment_names
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.daemon.configuration.policy import published_policy, with_file
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.planning.pinning import PinnedSource, pinned_source
from gitopsd.daemon.planning.plan import check_source
from gitopsd.daemon.planning.shipped import library
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.diagnostic import Diagnostic, in_order
from gitopsd.model.excerpt import Sources
from gitopsd.repo.source import FileContents, SourceTree
from gitopsd.runner.bundle import runtime_files


def check_version(workspace: Workspace, source: SourceTree) -> tuple[tuple[Diagnostic, ...], Sources]:
    """What is wrong with the chosen environment, or with each one where none was chosen; and the files to quote from.

    The operator's own policy counts where there is one; without it nothing is said of policy.
    """
    found: list[Diagnostic] = []
    contents: dict[str, bytes] = {}
    quoted: Sources = FileContents(source.files)
    for name in _chosen(workspace, source):
        try:
            found += _check(replace(workspace, environment=name), source)
        except DiagnosticsError as error:
            found += error.diagnostics
            contents |= _quoted(error.diagnostics, error.sources)
    return in_order(found), {**_quoted(found, quoted), **contents}


def _chosen(workspace: Workspace, source: SourceTree) -> list[str | None]:
    file = source.files.get(ENVIRONMENTS_FILE)
    if workspace.environment is not None or file is None:
        return [workspace.environment]
    return [*environment_names(file.data)] or [None]


def _check(workspace: Workspace, source: SourceTree) -> tuple[Diagnostic, ...]:
    """Of a pinned environment both what its pin has, and what this version would be once the pin is moved to it."""
    pinned = pinned_source(workspace, source)
    found = _compile(workspace, pinned)
    return found if pinned.written is None else (*found, *_compile(workspace, PinnedSource(source=source)))


def _compile(workspace: Workspace, pinned: PinnedSource) -> tuple[Diagnostic, ...]:
    front = check_source(pinned, workspace.environment, workspace.memory)
    state = ArtifactState(policy=published_policy(workspace.configuration))
    compiled = compile_back(front, state, runtime_files(), {}, workspace.memory, library=library)
    return with_file(pinned.explain(compiled.diagnostics), workspace.configuration_file)


def _quoted(diagnostics: tuple[Diagnostic, ...] | list[Diagnostic], sources: Sources) -> Mapping[str, bytes]:
    """The files that the diagnostics are about."""
    paths = {path for one in diagnostics for path in _paths(one)}
    return {path: sources[path] for path in sorted(paths) if path in sources}


def _paths(diagnostic: Diagnostic) -> Iterator[str]:
    yield diagnostic.location.path
    for related in diagnostic.related:
        yield related.location.path
