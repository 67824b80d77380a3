"""Apply: commit what was rendered, converge the workers, record what became of it."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gitopsd.compiler.render.release import Rendering
from gitopsd.daemon.artifact_state import read_fleet
from gitopsd.daemon.converge import PayloadSource, Progress, State, WorkerResult, converge
from gitopsd.daemon.errors import ControllerError, StalePlanError
from gitopsd.daemon.planning import Planned, check_source, plan_front
from gitopsd.daemon.releases import desired_releases, target_of
from gitopsd.daemon.rollout_note import record_rollout
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerError, WorkerUnreachable
from gitopsd.fleet.fanout import Failed, fan_out
from gitopsd.fleet.target import SshSettings, Target
from gitopsd.model.plan import Plan
from gitopsd.model.trees import BuiltTree
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_artifact_commit, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.lock import host_lock
from gitopsd.repo.publish import publish, write_deployment
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.source import SourceTree
from gitopsd.repo.trailers import DeploymentTrailers, format_message

_COMMIT_ATTEMPTS = 5
_WORKER_SECONDS = 150.0
_FLEET_SECONDS = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was committed (`head` is the artifact branch's head afterwards), before any worker is touched.

    `seconds` says how long planning and committing took.
    """

    planned: Planned
    branch: ArtifactBranch
    head: ArtifactHead
    committed: bool
    seconds: Mapping[str, float]

    @property
    def deployment(self) -> int:
        trailers = self.head.deployment.trailers if self.head.deployment else None
        return trailers.deployment if trailers else 0


def apply_version(
    workspace: Workspace,
    source: SourceTree,
    *,
    expected: Plan | None,
    planned: Callable[[Planned], None],
    committed: Callable[[Applied], None],
    progress: Progress,
) -> Iterator[WorkerResult]:
    """Commit the version and converge every worker; yields each worker's result as it comes.

    `expected` is a plan that was shown: exactly that is applied, or StalePlanError says which input moved. `planned`
    and `committed` are told before anything is written, and before any worker is touched.
    Raises DiagnosticsError, RepositoryError, ControllerError.
    """
    if source.commit is None:
        raise ControllerError("only a commit can be applied", "commit the changes first")
    front = check_source(source, workspace.environment)
    name = front.linked.name if front.linked else ""
    with host_lock(workspace.identity, name):
        applied = _commit(
            workspace, source, lambda: plan_front(workspace, source, front, fetch=True), expected, planned
        )
        committed(applied)
        started = datetime.now(UTC)
        results: list[WorkerResult] = []
        try:
            for result in converge_fleet(workspace, applied.branch, applied.head, progress):
                results.append(result)
                yield result
        finally:  # also when it is interrupted: what is known by then is the record
            record_rollout(workspace, applied.branch, applied.head, started, results)


def _commit(
    workspace: Workspace,
    source: SourceTree,
    plan: Callable[[], Planned],
    expected: Plan | None,
    announce: Callable[[Planned], None],
) -> Applied:
    """The artifact branch moved to what the plan renders; planned again whenever another writer came first."""
    for attempt in range(1, _COMMIT_ATTEMPTS + 1):
        started = time.monotonic()
        planned = plan()
        seconds = {"plan": time.monotonic() - started}
        if expected is not None and expected.digest != planned.plan.digest:
            raise StalePlanError(_what_moved(expected, planned.plan), "plan again, and apply the new plan")
        if attempt == 1:
            announce(planned)
        head = planned.head
        if head is not None and head.commit.tree == planned.plan.tree:
            return Applied(planned=planned, branch=planned.branch, head=head, committed=False, seconds=seconds)
        started = time.monotonic()
        try:
            _write(workspace, source, planned)
        except RefMovedError:
            if attempt == _COMMIT_ATTEMPTS:
                raise
            continue
        seconds["commit"] = time.monotonic() - started
        head = read_head(workspace.repository, planned.branch)
        if head is None:
            raise ControllerError(f"{planned.branch.ref} vanished right after it was written", "run this again")
        return Applied(planned=planned, branch=planned.branch, head=head, committed=True, seconds=seconds)
    raise AssertionError("unreachable")


def _write(workspace: Workspace, source: SourceTree, planned: Planned) -> None:
    """One commit: a numbered deployment where a release changes, else a mere update of records."""
    tree = _with_runtime(planned.rendering)
    repository, branch, head = workspace.repository, planned.branch, planned.head
    subject = read_artifact_commit(repository, source.commit or "").subject
    if planned.plan.is_empty and head is not None:
        message = format_message(f"Records for: {subject}", {"Source-Commit": source.commit or ""})
        commit = write_commit(repository, tree, parent=head.commit.id, message=message)
        update = RefUpdate(ref=branch.ref, new=commit, old=head.commit.id)
        publish(repository, [update], workspace.remote, reason="gitopsd: records")
        return
    before = head.deployment.trailers.deployment if head and head.deployment and head.deployment.trailers else 0
    trailers = DeploymentTrailers(
        deployment=before + 1,
        source_commit=source.commit or "",
        environment=planned.plan.inputs.environment,
        trigger="manual",
        plan_digest=planned.plan.digest,
        renderer=planned.plan.inputs.renderer,
    )
    write_deployment(
        repository,
        branch,
        workspace.remote,
        tree,
        head=head,
        subject=f"Deployment {before + 1}: {subject}",
        trailers=trailers,
    )


def _with_runtime(rendering: Rendering) -> BuiltTree:
    """The rendered tree with the runtime's objects, which every worker's release shares, no longer as grafts."""
    return BuiltTree(
        id=rendering.tree.id,
        entries=rendering.tree.entries,
        objects={**rendering.runtime.objects, **rendering.tree.objects},
        grafts=rendering.tree.grafts - {rendering.runtime.id},
    )


def _what_moved(expected: Plan, actual: Plan) -> str:
    labels = {
        "environment": "the environment",
        "source_tree": "the source",
        "artifact_head": "the artifact branch",
        "renderer": "the version of gitopsd",
    }
    moved = [
        f"{label} ({_short(getattr(expected.inputs, key))} then, {_short(getattr(actual.inputs, key))} now)"
        for key, label in labels.items()
        if getattr(expected.inputs, key) != getattr(actual.inputs, key)
    ]
    return "the plan is stale: " + (", ".join(moved) or "what it renders to") + " moved; nothing was applied"


def _short(value: str) -> str:
    is_id = len(value) == 40
    return value[:12] if is_id else value or "none"


def ssh_settings(workspace: Workspace) -> SshSettings:
    """The operator's way to the workers."""
    ssh = workspace.configuration.ssh
    return SshSettings(identity=(ssh.identity,) if ssh.identity else (), jump=ssh.jump or None)


def converge_fleet(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, progress: Progress
) -> Iterator[WorkerResult]:
    """Every worker made equal to the head; results come in the order in which the workers end."""
    desired = desired_releases(workspace.repository, head.commit.tree)
    fleet = read_fleet(workspace.repository, head.commit.tree)
    targets = [
        target_of(fleet[name], head.root_commit, branch.environment) for name in sorted(desired) if name in fleet
    ]
    blobs = PayloadSource(workspace.repository)
    with Workers(ssh_settings(workspace)) as workers:

        def work(target: Target) -> WorkerResult:
            with workers.connect(target) as connection:
                return converge(connection, desired[target.name], blobs, progress, _WORKER_SECONDS)

        for outcome in fan_out(targets, work, deadline=_FLEET_SECONDS):
            yield _failed_result(outcome) if isinstance(outcome, Failed) else outcome.result


def _failed_result(outcome: Failed) -> WorkerResult:
    error = outcome.error
    if not isinstance(error, WorkerError):
        raise error
    state: State = "unreachable" if isinstance(error, WorkerUnreachable) else "failed"
    return WorkerResult(worker=outcome.worker, state=state, error=error.message)
