"""Workers that take no new jobs, or keep none: put on, and lifted."""

from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.daemon.artifacts.control import change_control, control_of, moment, owner_of
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.upgrade import plan_deployment
from gitopsd.daemon.planning.plan import Planned, branch_of
from gitopsd.daemon.workers.single import workers_at
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import ControlRecord, Cordon
from gitopsd.model.plan import JobChange
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.revision import is_ancestor


@dataclass(frozen=True, slots=True, kw_only=True)
class Cordoned:
    """The worker's cordon from now on, None where it was lifted; `commit` is empty where nothing had to be changed."""

    worker: str
    cordon: Cordon | None
    commit: str


def cordon_worker(workspace: Workspace, worker: str, *, reason: str, until: str, drained: bool) -> Cordoned:
    """Commits it; `until` is empty, or a Moment. On a worker that is cordoned already, reason and expiry are replaced.

    A drain stays one: only `uncordon_worker` ends it. Raises ControllerError for a worker that isn't in the fleet,
    RepositoryError, DiagnosticsError.
    """
    branch = branch_of(workspace, workspace.source())
    owner = owner_of(workspace)
    asked = Cordon(owner=owner, reason=reason, since=moment(), until=until, drained=drained)
    wanted = asked

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        nonlocal wanted
        _require_in_fleet(workspace, branch, head, worker)
        before = record.cordons.get(worker)
        wanted = asked if before is None else _put_on(before, asked)
        word = "Drain" if wanted.drained else "Cordon"
        return f"{word} {worker}: {reason}", replace(record, cordons={**record.cordons, worker: wanted})

    commit = change_control(workspace, branch, change)
    return Cordoned(worker=worker, cordon=wanted, commit=commit)


def uncordon_worker(workspace: Workspace, worker: str) -> Cordoned:
    """Commits that the worker takes jobs again, drained or not. Raises ControllerError for a worker nobody knows."""
    branch = branch_of(workspace, workspace.source())

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        if worker not in control_of(workspace.repository, head).cordons:
            workers_at(workspace, workspace.source(), branch, head).get(worker)
        kept = {name: cordon for name, cordon in record.cordons.items() if name != worker}
        return f"Uncordon {worker}", replace(record, cordons=kept)

    return Cordoned(worker=worker, cordon=None, commit=change_control(workspace, branch, change))


def plan_drain(workspace: Workspace, worker: str) -> tuple[Planned, tuple[JobChange, ...]]:
    """What the next apply would do, and which of that takes jobs away from the worker.

    Raises DiagnosticsError where the source branch's head can't be planned: when a job can go nowhere, say.
    """
    planned = plan_deployment(workspace, workspace.source_of_commit())
    return planned, tuple(change for change in planned.plan.changes if change.moved_from == worker)


def moved_meanwhile(workspace: Workspace, planned: Planned, done: Cordoned) -> int:
    """The deployment that a controller, say, committed on top of the drain before this was planned; 0: none."""
    newest = planned.head.deployment if planned.head else None
    if newest is None or not done.commit or not is_ancestor(workspace.repository, done.commit, newest.id):
        return 0
    return number_of(planned.head)


def _put_on(before: Cordon, asked: Cordon) -> Cordon:
    """The very same thing asked for again by the same person is what there is already."""
    drained = before.drained or asked.drained
    same = (before.owner, before.reason, before.until, before.drained) == (
        asked.owner, asked.reason, asked.until, drained,
    )  # fmt: skip
    return before if same else Cordon(
        owner=asked.owner, reason=asked.reason, since=asked.since, until=asked.until, drained=drained
    )  # fmt: skip


def _require_in_fleet(workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead | None, worker: str) -> None:
    if workers_at(workspace, workspace.source(), branch, head).get(worker).leaving:
        raise ControllerError(
            f"`{worker}` is leaving, so it takes no jobs as it is",
            f"to have it dropped without reaching it: `gitopsd worker forget {worker}`",
        )
