"""A commit of the artifact branch made once more from what it says it was made from, and compared with what it is.

`gitopsd audit` and the trust in heads both come here. What a commit is made from: the commit before it, the source
commit that it names, and the records in it. Those that only say what somebody decided or observed (cordons, facts) are
taken as they are: nobody can derive them.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from msgspec import structs

from gitopsd import __version__
from gitopsd.daemon.artifacts.committed_jobs import committed_placement, committed_release
from gitopsd.daemon.artifacts.records import edited_tree
from gitopsd.daemon.artifacts.state import (
    CommittedReleases,
    committed_policy,
    read_control,
    read_facts,
    read_fleet,
)
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.artifacts.without_workers import without_workers
from gitopsd.daemon.configuration.policy import policy_file
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.planning.pinning import pinned_source
from gitopsd.daemon.planning.plan import check_source, compile_against, declared_branch
from gitopsd.daemon.reverting.revert_commit import Returning, revert_onto
from gitopsd.daemon.trust.tree_differences import find_differences, show_difference
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import CONTROL_FILE, FACTS_FILE, POLICY_FILE
from gitopsd.model.control import ControlRecord
from gitopsd.model.diagnostic import Severity
from gitopsd.model.excerpt import printable
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import BuiltTree, TreeEntry, object_id
from gitopsd.repo.artifacts import (
    ArtifactBranch,
    ArtifactCommit,
    ArtifactHead,
    deployments,
    list_folder,
    read_artifact_commit,
)
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

Finding = Literal["equal", "differs", "other-renderer", "no-source"]

AUTO_REVERT = "auto-revert"
"""The trigger of commits that are made from earlier deployments alone."""

_MOST_PATHS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """What came of it. `why` is a clause about the commit; `paths` are the first that differ, `diff` that of the first.

    `stands_alone`: nothing of what it holds was taken over from the commit before it without being derived anew.
    `origins` are the deployments that it has workflows from as they were.
    """

    finding: Finding
    why: str = ""
    paths: tuple[str, ...] = ()
    diff: str = ""
    stands_alone: bool = False
    origins: tuple[str, ...] = ()


def recompute(
    workspace: Workspace, branch: ArtifactBranch, commit: ArtifactCommit, *, own_policy: PolicyRecord | None = None
) -> Recomputed:
    """Whatever is in the commit raises nothing.

    With `own_policy`, a version must also render to the same where that is the policy, whatever the commit publishes.
    """
    try:
        parent = read_artifact_commit(workspace.repository, commit.parent) if commit.parent else None
        step = _Step(replace(workspace, environment=branch.environment), branch, parent, commit)
        if commit.trailers and commit.trailers.trigger == AUTO_REVERT:
            found = step.reverted()
        elif commit.source_commit:
            found = step.rendered(own_policy)
        else:
            found = step.records()
    except RepositoryError as error:
        found = Recomputed(finding="differs", why=f"can't be made again: {error.message}")
    if found.finding == "differs" and commit.renderer not in {"", __version__}:
        return Recomputed(
            finding="other-renderer",
            why=f"was rendered by gitopsd {printable(commit.renderer)}, and this is {__version__}",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """One commit and the one before it; `workspace` names the environment."""

    workspace: Workspace
    branch: ArtifactBranch
    parent: ArtifactCommit | None
    commit: ArtifactCommit

    @property
    def repository(self) -> Repository:
        return self.workspace.repository

    @property
    def head(self) -> ArtifactHead | None:
        """The branch as it was before; who its workers belong to plays no part here."""
        if self.parent is None:
            return None
        deployment = next(deployments(self.repository, self.parent.id), None)
        return ArtifactHead(commit=self.parent, deployment=deployment, root_commit="")

    def rendered(self, own_policy: PolicyRecord | None) -> Recomputed:
        """A version, with the policy and the facts that were committed along with it."""
        source = self.commit.source_commit
        if not self.repository.has(source):
            return Recomputed(finding="no-source", why=f"came from commit {source[:12]}, which is not in this clone")
        if self._is_misnumbered():
            return _differs(f"is numbered {number_of(self._as_head())}, after {number_of(self.head)}")
        published = committed_policy(self.repository, self.commit.tree) if self._has_changed(POLICY_FILE) else None
        found = self._render(published)
        if found.finding == "equal" and own_policy is not None:
            ours = object_id("blob", policy_file(own_policy))
            theirs = self._tops(self.commit).get(POLICY_FILE)
            if theirs is None or theirs.id != ours:
                return self._render(own_policy, besides=frozenset({POLICY_FILE}))
        return found

    def _render(self, policy: PolicyRecord | None, *, besides: frozenset[str] = frozenset()) -> Recomputed:
        facts = read_facts(self.repository, self.commit.tree) if self._has_changed(FACTS_FILE) else None
        try:
            pinned = pinned_source(self.workspace, read_commit(self.repository, self.commit.source_commit))
            front = check_source(pinned, self.workspace.environment, self.workspace.memory)
            if declared_branch(front) != self.branch:
                return _differs(f"came from a version that has its artifacts on {declared_branch(front).name}")
            version = compile_against(self.workspace, pinned, front, self.head, policy=policy, facts=facts)
        except DiagnosticsError as error:
            told = next((one.message for one in error.diagnostics if one.severity is Severity.ERROR), "")
            return _differs(f"came from a version that doesn't compile: {told}")
        if self.commit.compiled not in {"", version.form}:
            pin = f", for its pin is commit {version.pinned[:12]} here" if version.pinned else ""
            return _differs(f"came from commit {self.commit.source_commit[:12]}, which comes to something else{pin}")
        if version.rendering.id != self.commit.tree:
            tree = version.rendering.tree(CommittedReleases(repository=self.repository, tree=self.commit.tree))
            compared = self._compared(tree, besides=besides)
            if compared.finding != "equal":
                return compared
        returns = {self._control().quarantines[name].returns_to for name in version.rendering.held}
        return Recomputed(
            finding="equal",
            stands_alone=not any(worker.leaving or worker.draining for worker in version.rendering.workers.values()),
            origins=self._deployments(returns),
        )

    def reverted(self) -> Recomputed:
        """Workflows as earlier deployments had them, and their quarantines: all else as it was."""
        head = self.head
        if head is None or head.deployment is None or self._is_misnumbered():
            return _differs("is an automatic revert of nothing")
        before, after = read_control(self.repository, head.commit.tree), self._control()
        new = {name: one for name, one in after.quarantines.items() if before.quarantines.get(name) != one}
        if structs.replace(before, quarantines={**before.quarantines, **new}) != after or not new:
            return _differs("is an automatic revert, and changes more of control.json than what it reverts")
        chosen: dict[str, Returning] = {}
        for name, quarantine in new.items():
            placement = committed_placement(self.repository, head.commit.tree, name)
            if placement is None or placement.compiled != quarantine.compiled:
                return _differs(f"reverts {name}, which wasn't deployed in that form")
            origins = self._deployments({quarantine.returns_to})
            if quarantine.returns_to and not origins:
                return _differs(f"reverts {name} to deployment {quarantine.returns_to}, which there is none of")
            origin = read_artifact_commit(self.repository, origins[0]) if origins else None
            chosen[name] = Returning(quarantine=quarantine, origin=origin)
        compared = self._compared(revert_onto(self.workspace, self.branch, head, chosen, after).tree)
        return replace(compared, origins=self._deployments({one.returns_to for one in new.values()}))

    def records(self) -> Recomputed:
        """What was decided or observed; or workers that left, once nothing was left for them to hold."""
        before = self._tops(self.parent) if self.parent else {}
        changed = {name for name in before.keys() | self._tops(self.commit).keys() if self._has_changed(name)}
        self._control()
        read_facts(self.repository, self.commit.tree)
        if changed <= {CONTROL_FILE, FACTS_FILE}:
            return Recomputed(finding="equal")
        if self.head is None:
            return Recomputed(finding="differs", why="says of no version that it came from it")
        tree = self.head.commit.tree
        now = read_fleet(self.repository, self.commit.tree)
        gone = {
            name for name, worker in read_fleet(self.repository, tree).items() if name not in now and worker.leaving
        }
        gone = {name for name in gone if all(job.drains for job in committed_release(self.repository, tree, name).jobs)}
        files = without_workers(self.repository, self.head, gone) if gone else {}
        return self._compared(edited_tree(self.repository, tree, files))

    def _compared(self, expected: BuiltTree, *, besides: frozenset[str] = frozenset()) -> Recomputed:
        found = find_differences(self.repository, expected, self.commit.tree, most=_MOST_PATHS + len(besides))
        found = [one for one in found if one.path not in besides][:_MOST_PATHS]
        if not found:
            return Recomputed(finding="equal")
        return Recomputed(
            finding="differs",
            why="is not what it says it was made from",
            paths=tuple(printable(one.path) for one in found),
            diff=show_difference(self.repository, expected, found[0]),
        )

    def _is_misnumbered(self) -> bool:
        """A number decides what a worker takes for newer."""
        return self.commit.trailers is not None and number_of(self._as_head()) != number_of(self.head) + 1

    def _as_head(self) -> ArtifactHead:
        return ArtifactHead(commit=self.commit, deployment=self.commit, root_commit="")

    def _control(self) -> ControlRecord:
        return read_control(self.repository, self.commit.tree)

    def _has_changed(self, name: str) -> bool:
        before = self._tops(self.parent).get(name) if self.parent else None
        return self._tops(self.commit).get(name) != before

    def _tops(self, commit: ArtifactCommit) -> dict[str, TreeEntry]:
        return list_folder(self.repository, commit.tree)

    def _deployments(self, numbers: set[int]) -> tuple[str, ...]:
        """The commits of these deployments, before this one."""
        wanted = numbers - {0}
        if not wanted or self.parent is None:
            return ()
        commits = deployments(self.repository, self.parent.id)
        found = (one.id for one in commits if one.trailers and one.trailers.deployment in wanted)
        return tuple(islice(found, len(wanted)))


def _differs(why: str) -> Recomputed:
    return Recomputed(finding="differs", why=printable(why))
