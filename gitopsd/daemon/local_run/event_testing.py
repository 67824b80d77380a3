"""The tests of a repository, checked, and run with real processes on this machine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import UnsetType

from gitopsd.compiler.environment import environment_names
from gitopsd.compiler.event_tests import DeclaredTest, EventCase, prepare_test, read_tests
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.daemon.local_run.folder import LocalFolder, local_folder
from gitopsd.daemon.local_run.prepare import linked_version
from gitopsd.daemon.local_run.run import run_jobs
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.event_match import differences
from gitopsd.model.names import did_you_mean
from gitopsd.repo.source import SourceTree

_FEW = 3
"""More runs than these start sooner when the runner is compiled once for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedVersion:
    """The tests that count for the chosen environment, and what is wrong with any of them."""

    cases: tuple[EventCase, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFailure:
    """Why a test failed: what differs, as lines of a difference below the message."""

    diagnostic: Diagnostic
    difference: tuple[str, ...] = ()


def find_tests(workspace: Workspace, source: SourceTree, tests: SourceTree) -> TestedVersion:
    """Of a version that has no errors. Raises DiagnosticsError where it does have some."""
    refused = [
        Diagnostic(code=one.code, message=one.message, location=Location(path=one.path), hint=one.hint)
        for one in tests.problems
    ]
    declared, diagnostics = read_tests(tests.files)
    names = _environments(source)
    cases: list[EventCase] = []
    for name, group in _by_environment(declared, names, workspace.environment):
        if name not in names:
            diagnostics += [_unknown_environment(one, name, names) for one in group]
            continue
        linked = linked_version(replace(workspace, environment=name), source)
        for one in group:
            case, mistakes = prepare_test(linked, one, tests.files)
            diagnostics += mistakes
            cases += [case] if case else []
    return TestedVersion(cases=tuple(cases), diagnostics=(*refused, *diagnostics))


def _environments(source: SourceTree) -> tuple[str, ...]:
    file = source.files.get(ENVIRONMENTS_FILE)
    return environment_names(file.data) if file else ()


def _by_environment(
    declared: Iterable[DeclaredTest], names: Sequence[str], chosen: str | None
) -> Iterator[tuple[str, list[DeclaredTest]]]:
    """A test that names none is for the chosen environment, else for the first one."""
    groups: dict[str, list[DeclaredTest]] = {}
    for one in declared:
        wanted = one.test.environment
        name = (chosen or names[0]) if isinstance(wanted, UnsetType) else wanted
        if chosen is None or name == chosen:
            groups.setdefault(name, []).append(one)
    yield from groups.items()


def _unknown_environment(one: DeclaredTest, name: str, known: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        code="unknown-environment",
        message=f"there is no environment `{name}`",
        location=one.document.locate(*one.way, "environment"),
        hint=did_you_mean(name, known),
    )


def run_tests(cases: Sequence[EventCase], seconds: float) -> Iterator[tuple[EventCase, list[TestFailure]]]:
    """Each test with why it failed; nothing where it passed. `seconds` is for each of them."""
    with local_folder(for_many=len(cases) > _FEW) as folder:
        for case in cases:
            yield case, list(_run(case, folder, seconds))


def _run(case: EventCase, folder: LocalFolder, seconds: float) -> Iterator[TestFailure]:
    outcome = run_jobs(case.run, folder, {channel: [lines] for channel, lines in case.given.items() if lines}, seconds)
    if outcome.failure:
        step = outcome.failure.step
        who = f"`{step.name}`: " if step else ""
        related = (Related(message=f"`{step.name}` is declared here", location=step.place),) if step else ()
        message = f"the test `{case.name}` didn't come to its end: {who}{outcome.failure.message}"
        yield TestFailure(diagnostic=_failed(message, case.place, related))
        return
    for expectation in case.expectations:
        difference = differences(expectation.expected, list(outcome.events(expectation.channel)))
        if difference:
            message = f"the test `{case.name}`: other events came to `{expectation.label}` than expected"
            yield TestFailure(diagnostic=_failed(message, expectation.place), difference=tuple(difference))


def _failed(message: str, place: Location, related: tuple[Related, ...] = ()) -> Diagnostic:
    return Diagnostic(code="test-failed", message=message, location=place, related=related)
