"""A pinned environment: its workflows and what they are made of come from the pin, the rest from the planned version.

So promotion is a reviewed change of the pin in gitopsd.yaml, and a new worker needs no new pin.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.pins import WrittenPin, find_pin, pin_is_a_branch, unknown_pin
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.trees import EXECUTABLE, FILE, Graft, TreeEntry, build_tree, object_id, serialise_tree
from gitopsd.repo.artifacts import list_folder
from gitopsd.repo.commit_source import commit_tree, read_commit
from gitopsd.repo.pin import NamesBranch, NamesNothing, Pinned, resolve_pin, tag_names
from gitopsd.repo.repository import Repository
from gitopsd.repo.source import SourceTree
from gitopsd.repo.source_rules import TOP_FOLDERS, SourceProblem

PLANNED_PARTS = frozenset({ENVIRONMENTS_FILE, "fleets"})
"""What comes from the version that is planned, whatever the pin says."""

PINNED_PARTS = TOP_FOLDERS - PLANNED_PARTS

_WHOLE_TREE = frozenset({"source-too-large", "too-many-files"})
"""After such a problem the rest wasn't read, so it counts wherever it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSource:
    """The source that is compiled. `commit` is that of the pin; empty where the environment has none."""

    source: SourceTree
    written: WrittenPin | None = None
    commit: str = ""

    def explain(self, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """The same, with a word on those about files that aren't what lies in the planned version."""
        if self.written is None:
            return tuple(diagnostics)
        note = Related(message=f"that file is as commit {self.commit[:12]} has it", location=self.written.location)
        return tuple(
            replace(one, related=(*one.related, note)) if _top(one.location.path) in PINNED_PARTS else one
            for one in diagnostics
        )


def pinned_source(workspace: Workspace, source: SourceTree) -> PinnedSource:
    """The version as the chosen environment is to have it; its `commit` stays that of the version.

    Raises DiagnosticsError for a pin that names no tag or commit here, RepositoryError where Git fails.
    """
    file = source.files.get(ENVIRONMENTS_FILE)
    written = find_pin(file.data, workspace.environment) if file is not None else None
    if file is None or written is None:
        return PinnedSource(source=source)
    commit = _commit_of(workspace.repository, written, file.data)
    return PinnedSource(source=_compose(workspace.repository, source, commit), written=written, commit=commit)


def _commit_of(repository: Repository, written: WrittenPin, environments: bytes) -> str:
    found = resolve_pin(repository, written.name)
    match found:
        case Pinned():
            return found.commit
        case NamesBranch():
            mistake = pin_is_a_branch(written, found.commit)
        case NamesNothing():
            mistake = unknown_pin(written, tag_names(repository), found.why)
        case _:
            assert_never(found)
    raise DiagnosticsError([mistake], {ENVIRONMENTS_FILE: environments})


def _compose(repository: Repository, planned: SourceTree, pin: str) -> SourceTree:
    pinned = read_commit(repository, pin)
    sides = ((planned, PLANNED_PARTS), (pinned, PINNED_PARTS))
    files = {path: file for tree, parts in sides for path, file in tree.files.items() if _top(path) in parts}
    problems = [problem for tree, parts in sides for problem in tree.problems if _counts(problem, parts)]
    entries = _top_entries(repository, planned, PLANNED_PARTS) | _committed_entries(repository, pin, PINNED_PARTS)
    return SourceTree(
        id=object_id("tree", serialise_tree(entries)),
        commit=planned.commit,
        files=MappingProxyType(dict(sorted(files.items()))),
        problems=tuple(sorted(problems, key=lambda problem: (problem.path, problem.code))),
    )


def _top(path: str) -> str:
    return path.partition("/")[0]


def _counts(problem: SourceProblem, parts: frozenset[str]) -> bool:
    return problem.code in _WHOLE_TREE or _top(problem.path) in parts


def _top_entries(repository: Repository, source: SourceTree, parts: frozenset[str]) -> dict[str, TreeEntry]:
    if source.commit is not None:
        return _committed_entries(repository, source.commit, parts)
    files = {
        path: Graft(id=file.blob, mode=EXECUTABLE if file.executable else FILE)
        for path, file in source.files.items()
        if _top(path) in parts
    }
    return {path: entry for path, entry in build_tree(files).entries.items() if "/" not in path}


def _committed_entries(repository: Repository, commit: str, parts: frozenset[str]) -> dict[str, TreeEntry]:
    entries = list_folder(repository, commit_tree(repository, commit))
    return {name: entry for name, entry in entries.items() if name in parts}
