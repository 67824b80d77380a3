"""From a version to a commit of the artifact branch: planned, checked, written; no worker is touched."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from gitopsd.compiler.render.release import Rendering
from gitopsd.daemon.artifacts.control import control_of, expired_parts, remove_expired
from gitopsd.daemon.artifacts.releases import target_of
from gitopsd.daemon.deploying.expected_plan import check_expected, check_same_changes, have_same_changes
from gitopsd.daemon.deploying.writing import write_version
from gitopsd.daemon.errors import ControllerError, DiagnosticsError, StalePlanError
from gitopsd.daemon.holds.asked import Asked
from gitopsd.daemon.holds.holds import holds_of, refuse_held
from gitopsd.daemon.holds.signed_versions import refuse_unsigned
from gitopsd.daemon.holds.upgrade import plan_deployment
from gitopsd.daemon.holds.version_hold import Chosen, NotTheHeadError, chosen_version, keep_at, require_hold
from gitopsd.daemon.planning.plan import Planned, branch_of
from gitopsd.daemon.planning.runnable import refuse_what_cannot_run
from gitopsd.daemon.secrets.resolve import require_secrets
from gitopsd.daemon.trust.heads import remember_rendered, tell_held
from gitopsd.daemon.trust.source_history import refuse_other_history, remember_source
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.layout import layout_of, layout_problem
from gitopsd.model.plan import Plan
from gitopsd.model.secret import SecretValue
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_artifact_commit, read_head
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.source import SourceTree

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was committed (`head` is the artifact branch's head afterwards), before any worker is touched.

    `seconds` says how long planning and committing took. `secrets` are the values of those that its jobs ask for.
    `goes_on`: this was gitopsd's own upgrade, and the version that was asked for has yet to follow.
    """

    planned: Planned
    branch: ArtifactBranch
    head: ArtifactHead
    committed: bool
    seconds: Mapping[str, float]
    secrets: Mapping[str, SecretValue] = field(default_factory=dict, repr=False)
    goes_on: bool = False

    @property
    def deployment(self) -> int:
        trailers = self.head.deployment.trailers if self.head.deployment else None
        return trailers.deployment if trailers else 0


class PlanReporter(Protocol):
    """Is told what a version comes to."""

    def planned(self, planned: Planned) -> None:
        """Before anything is written; again when another writer came first and the plan is now a different one."""
        ...

    def note(self, message: str) -> None:
        """Something that was done, or why it wasn't, in a sentence."""
        ...


def commit_version(
    workspace: Workspace,
    read_source: Callable[[], SourceTree],
    *,
    named: bool,
    expected: Plan | None = None,
    asked: Asked,
    reporter: PlanReporter,
    upgraded: bool = False,
) -> Applied:
    """The artifact branch moved to what the plan renders; where an upgrade of gitopsd is due, to that first.

    Every path that deploys a new version comes through here, and so past all that may hold it. `upgraded`: the upgrade
    was deployed a moment ago, so a plan that was shown is compared by what it changes. No worker is reached. The other
    parameters, and errors, are those of apply_version.
    """
    announced: Plan | None = None
    moved = upgraded
    for attempt in range(1, _ATTEMPTS + 1):
        started = time.monotonic()
        chosen = chosen_version(workspace, read_source, asked)
        refuse_unsigned(workspace, chosen.source)
        planned = _plan(workspace, chosen.source, reporter, exactly=expected is not None)
        seconds = {"plan": time.monotonic() - started}
        commit = _check(workspace, chosen, planned, asked, named=named, expected=expected, moved=moved)
        following = planned.upgrade or planned
        if announced is None or not have_same_changes(announced, following.plan):
            reporter.planned(following)
            tell_held(workspace, planned.branch, planned.head, reporter.note)
            announced = following.plan
        refuse_held(holds_of(workspace, planned.head, datetime.now(UTC), planned), asked)
        goes_on = planned.upgrade is not None and planned.upgrade.plan.tree != planned.plan.tree
        head = planned.head
        secrets = _secrets(workspace, following)
        if head is None or head.commit.tree != following.plan.tree:
            refuse_what_cannot_run(following.summaries)
            _check_layouts(following.rendering)
        # nothing refuses the version any more: a controller deploys it as soon as the hold is there
        if not moved and keep_at(workspace, planned.branch, commit, asked):
            moved = True  # by ourselves: planned again on top of that
            continue
        if head is None or head.commit.tree != following.plan.tree:
            started = time.monotonic()
            try:
                written = write_version(workspace, following, asked)
            except RefMovedError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            seconds["commit"] = time.monotonic() - started
            head, committed = _head_at(workspace, written, head), True
        else:
            committed = False
        remember_rendered(workspace, planned.branch, head.commit)
        if not goes_on:
            remember_source(workspace, planned.branch, commit, head)
        return Applied(
            planned=following,
            branch=planned.branch,
            head=head,
            committed=committed,
            seconds=seconds,
            secrets=secrets,
            goes_on=goes_on,
        )
    raise AssertionError("unreachable")


def _check(
    workspace: Workspace,
    chosen: Chosen,
    planned: Planned,
    asked: Asked,
    *,
    named: bool,
    expected: Plan | None,
    moved: bool,
) -> str:
    """The commit, if it may be deployed: it is one, the one that was shown, and no step back that nobody asked for."""
    commit = chosen.source.commit
    if commit is None:
        raise ControllerError("only a commit can be applied", "commit the changes first")
    holds = holds_of(workspace, planned.head, datetime.now(UTC))
    refuse_held([hold for hold in holds if hold.kind == "pause"], asked)
    if expected is not None:
        (check_same_changes if moved else check_expected)(expected, planned.plan)
    try:
        require_hold(workspace, commit, planned.head, holds, asked, named=named)
    except NotTheHeadError as error:
        if expected is not None:
            raise StalePlanError(f"the plan is stale: {error.message}; nothing was applied", error.hint) from None
        raise
    if not named and not chosen.held:
        refuse_other_history(workspace, planned.branch, commit, planned.head)
    return commit


def _plan(workspace: Workspace, source: SourceTree, reporter: PlanReporter, *, exactly: bool) -> Planned:
    """The plan, once what has expired is out of the way; `exactly` is for a plan that was shown with it still there."""
    if exactly:
        return plan_deployment(workspace, source)
    try:
        planned = plan_deployment(workspace, source)
    except DiagnosticsError:
        # the jobs of a worker whose drain is over may have nowhere to go; planning has fetched the branch
        branch = branch_of(workspace, source)
        if not _end_what_expired(workspace, branch, read_head(workspace.repository, branch), reporter):
            raise
        return plan_deployment(workspace, source)
    if _end_what_expired(workspace, planned.branch, planned.head, reporter):
        return plan_deployment(workspace, source)
    return planned


def _end_what_expired(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead | None, reporter: PlanReporter
) -> bool:
    if not expired_parts(control_of(workspace.repository, head)):
        return False
    for sentence in remove_expired(workspace, branch):
        reporter.note(f"{sentence}, and counts no more")
    return True


def _secrets(workspace: Workspace, planned: Planned) -> Mapping[str, SecretValue]:
    """Every value that the version's jobs ask for, or an error before anything is committed."""
    commit = planned.plan.inputs.source_commit
    return require_secrets(workspace.configuration, planned.secrets, workspace.repository, commit)


def _check_layouts(rendering: Rendering) -> None:
    """What would keep the built-in worker from being activated is said before anything is committed."""
    for worker in rendering.workers.values():
        if worker.service_manager == "supervisor":
            problem = layout_problem(layout_of(target_of(worker, None, "")))
            if problem:
                raise ControllerError(f"{worker.name}: {problem}", "nothing was committed")


def _head_at(workspace: Workspace, commit: str, before: ArtifactHead | None) -> ArtifactHead:
    """The head that was just written, whatever the branch has become since."""
    written = read_artifact_commit(workspace.repository, commit)
    deployment = written if written.trailers else before.deployment if before else None
    return ArtifactHead(commit=written, deployment=deployment, root_commit=before.root_commit if before else written.id)
