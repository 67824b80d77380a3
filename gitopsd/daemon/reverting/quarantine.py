"""Forms of workflows that aren't to run: put under quarantine, and released."""

from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.daemon.artifacts.committed_jobs import committed_placement
from gitopsd.daemon.artifacts.control import change_control, control_of, moment, owner_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.history.completed import Record
from gitopsd.daemon.planning.plan import branch_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import PLACEMENT_FOLDER, PlacementRecord
from gitopsd.model.control import ControlRecord, Quarantine
from gitopsd.model.names import did_you_mean
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, list_folder
from gitopsd.repo.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantining:
    """The workflow's quarantine from now on, None where it was ended; `commit` is empty where nothing was changed."""

    workflow: str
    quarantine: Quarantine | None
    commit: str


def quarantine_workflow(workspace: Workspace, workflow: str, *, reason: str, until: str) -> Quarantining:
    """Commits that what is deployed of the workflow isn't to run; `until` is empty, or a Moment.

    It returns to the last deployment that went well for it with another form of it. Where it is quarantined already,
    reason and expiry are replaced. Raises ControllerError for a workflow that isn't deployed, RepositoryError,
    DiagnosticsError.
    """
    branch = branch_of(workspace, workspace.source())
    asked = Quarantine(owner=owner_of(workspace), reason=reason, since=moment(), until=until, compiled="0" * 40)
    wanted = asked

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        nonlocal wanted
        before = record.quarantines.get(workflow)
        wanted = _again(before, asked) if before else _new(workspace, branch, head, workflow, asked)
        return f"Quarantine {workflow}: {reason}", replace(record, quarantines={**record.quarantines, workflow: wanted})

    commit = change_control(workspace, branch, change)
    return Quarantining(workflow=workflow, quarantine=wanted, commit=commit)


def release_workflow(workspace: Workspace, workflow: str) -> Quarantining:
    """Commits that the workflow runs again as versions have it. Raises ControllerError for one that nobody knows."""
    branch = branch_of(workspace, workspace.source())

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        known = control_of(workspace.repository, head).quarantines
        if workflow not in known:
            _deployed(workspace.repository, branch, head, workflow)
        left = {name: one for name, one in record.quarantines.items() if name != workflow}
        return f"Release {workflow} from quarantine", replace(record, quarantines=left)

    commit = change_control(workspace, branch, change)
    return Quarantining(workflow=workflow, quarantine=None, commit=commit)


def _again(before: Quarantine, asked: Quarantine) -> Quarantine:
    """The same form stays under quarantine. Asked for again by the same person, it is what there is already."""
    if (before.owner, before.reason, before.until) == (asked.owner, asked.reason, asked.until):
        return before
    return replace(before, owner=asked.owner, reason=asked.reason, since=asked.since, until=asked.until)


def _new(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead | None, workflow: str, asked: Quarantine
) -> Quarantine:
    record = _deployed(workspace.repository, branch, head, workflow)
    if head is None or not record.compiled:
        raise ControllerError(
            f"`{workflow}` was deployed by an older version of gitopsd, without a digest of its form",
            "`gitopsd apply` records it",
        )
    completed = Record(workspace.repository, branch, head).completed(workflow)
    found = next((one for one in completed if one.compiled not in {"", record.compiled}), None)
    return replace(asked, compiled=record.compiled, returns_to=found.number if found else 0)


def _deployed(
    repository: Repository, branch: ArtifactBranch, head: ArtifactHead | None, workflow: str
) -> PlacementRecord:
    record = committed_placement(repository, head.commit.tree, workflow) if head else None
    if record is None:
        folder = list_folder(repository, head.commit.tree, PLACEMENT_FOLDER) if head else {}
        names = [name.removesuffix(".json") for name in folder]
        raise ControllerError(
            f"no workflow `{workflow}` is deployed to {branch.environment}", did_you_mean(workflow, names)
        )
    return record
