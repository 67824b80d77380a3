"""Which events of the tests come out differently in a planned version than in what is deployed.

For people who look at a plan: no part of it, and nothing is deployed or held for it. No program is run, only the
actions of transforms, in this process, and those only for so long and over so many events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET, UnsetType, structs

from gitopsd.compiler.event_tests import DeclaredTest, EventCase, prepare_test, read_tests
from gitopsd.compiler.link import Linked
from gitopsd.daemon.artifacts.deployed_version import deployed_version
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.planning.pinning import PinnedSource, pinned_source
from gitopsd.daemon.planning.plan import Planned, check_source
from gitopsd.daemon.planning.time_limit import TimeIsUp, time_limit
from gitopsd.daemon.workspace import Workspace
from gitopsd.planner.events.differences import NOTHING, EventChanges, EventDifference, event_differences
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.source import SourceTree
from gitopsd.runner.errors import JobError

SECONDS = 5.0
MOST_TESTS = 500
MOST_BYTES = 4 << 20
"""Of all events of those tests together."""

_SHARED = ("modules/", "blueprints/", "files/")


def event_changes(workspace: Workspace, planned: Planned, tests: SourceTree) -> EventChanges:
    """`tests` are those of the planned version. Without changed jobs or tests about them it costs nothing."""
    declared = _about_changes(planned, tests)
    if not declared:
        return NOTHING
    environment = planned.plan.inputs.environment
    workspace = replace(workspace, environment=environment)
    comparing = _Comparing(tests)
    try:
        deployed = _deployed(workspace, planned)
        if deployed is None:
            return NOTHING
        with time_limit(SECONDS):
            comparing.compare(deployed, _linked(workspace, planned.source), declared, planned.source)
    except TimeIsUp:
        # what was found so far is left out: how much that is differs from time to time, and a comment is rewritten
        return EventChanges(unknown=f"it took longer than {SECONDS:g} s")
    except (DiagnosticsError, RepositoryError):
        return comparing.changes("what is deployed can't be compiled by this version of gitopsd")
    return comparing.changes()


def _about_changes(planned: Planned, tests: SourceTree) -> list[DeclaredTest]:
    """The tests of workflows that have changed jobs, and those of modules: whether these changed is seen later."""
    changed = {one.job.partition(".")[0] for one in planned.plan.changes if one.action not in {"unchanged", "held"}}
    if not changed or planned.head is None:
        return []
    declared, _ = read_tests(tests.files)
    environment = planned.plan.inputs.environment
    return [
        one
        for one in declared
        if one.test.environment in {UNSET, environment}
        and (one.test.workflow in changed or not isinstance(one.test.module, UnsetType))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployed:
    linked: Linked
    source: SourceTree


def _deployed(workspace: Workspace, planned: Planned) -> _Deployed | None:
    """The version that is deployed. Raises DiagnosticsError, RepositoryError."""
    found = deployed_version(workspace.repository, planned.head) if planned.head else None
    if found is None:
        return None
    source = pinned_source(workspace, read_commit(workspace.repository, found.source_commit)).source
    return _Deployed(linked=_linked(workspace, source), source=source)


def _linked(workspace: Workspace, source: SourceTree) -> Linked:
    front = check_source(PinnedSource(source=source), workspace.environment, workspace.memory)
    if front.linked is None:
        raise ValueError("a source without errors is linked")
    return front.linked


class _Comparing:
    """What was found so far."""

    def __init__(self, tests: SourceTree) -> None:
        self._tests = tests
        self._found: list[EventDifference] = []
        self._compared = 0
        self._left_out = ""

    def changes(self, unknown: str = "") -> EventChanges:
        unknown = unknown or self._left_out
        return EventChanges(differences=tuple(self._found), compared=self._compared, unknown=unknown)

    def compare(
        self, deployed: _Deployed, linked: Linked, declared: Sequence[DeclaredTest], source: SourceTree
    ) -> None:
        shared = _differ(deployed.source, source)
        size = 0
        for one in declared:
            if not isinstance(one.test.module, UnsetType) and not shared:
                continue
            if self._compared >= MOST_TESTS or size > MOST_BYTES:
                self._left_out = f"there are more tests than the {self._compared} that were looked at"
                return
            before, after = self._case(deployed.linked, one), self._case(linked, one)
            if before is None or after is None:
                continue  # of something new, or wrong: `check` says what is wrong with it
            size += sum(len(lines) for lines in after.given.values())
            found = _differences(before, after)
            if found is not None:
                self._compared += 1
                self._found += found

    def _case(self, linked: Linked, one: DeclaredTest) -> EventCase | None:
        """Without what it expects, which may be only of the newer version."""
        return prepare_test(linked, replace(one, test=structs.replace(one.test, out={})), self._tests.files)[0]


def _differ(before: SourceTree, after: SourceTree) -> bool:
    """Whether anything differs that modules are made of."""

    def parts(source: SourceTree) -> dict[str, str]:
        return {path: file.blob for path, file in source.files.items() if path.startswith(_SHARED)}

    return parts(before) != parts(after)


def _differences(before: EventCase, after: EventCase) -> tuple[EventDifference, ...] | None:
    try:
        return event_differences(before, after)
    except JobError:
        return None  # actions that make no sense keep the version from being planned
