"""A worker that left, and that nobody will reach any more, is dropped without being reached."""

from dataclasses import dataclass
from itertools import islice

from gitopsd.daemon.artifacts.records import RecordsEdit, commit_records
from gitopsd.daemon.artifacts.releases import desired_release
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.artifacts.without_workers import without_workers
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.pinning import pinned_source
from gitopsd.daemon.planning.plan import branch_of, check_source
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import WORKERS_FOLDER, PlacedWorker
from gitopsd.model.names import did_you_mean
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, deployments, find_entry, read_head
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.repository import Repository

_FARTHEST = 500
"""Deployments that are looked at for what the worker last had to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgettable:
    """A worker that may be forgotten. `jobs` are those that it was last told to run: they may run there still."""

    branch: ArtifactBranch
    worker: PlacedWorker
    jobs: tuple[str, ...]


def forgettable(workspace: Workspace, name: str) -> Forgettable:
    """Raises ControllerError for a worker that can't be forgotten, DiagnosticsError where the head doesn't compile."""
    branch = branch_of(workspace, workspace.source_of_commit())
    fetch_artifacts(workspace.repository, branch, workspace.remote)
    head = read_head(workspace.repository, branch)
    worker = _require(workspace, head, name)
    jobs = _last_jobs(workspace.repository, head, name) if head else ()
    return Forgettable(branch=branch, worker=worker, jobs=jobs)


def forget(workspace: Workspace, chosen: Forgettable) -> str:
    """The commit that drops the worker. Raises what `forgettable` does, asked again of the head as it is then."""
    name = chosen.worker.name

    def edit(head: ArtifactHead | None) -> RecordsEdit | None:
        _require(workspace, head, name)
        if head is None:
            return None
        return RecordsEdit(
            subject=f"Forget {name}",
            files=without_workers(workspace.repository, head, {name}),
            details=tuple(f"{name}: may still run {job}" for job in chosen.jobs),
        )

    return commit_records(workspace, chosen.branch, edit)


def _require(workspace: Workspace, head: ArtifactHead | None, name: str) -> PlacedWorker:
    """The worker as the record has it, if it may be forgotten."""
    source = workspace.source_of_commit()
    fleet = read_fleet(workspace.repository, head.commit.tree) if head else {}
    linked = check_source(pinned_source(workspace, source), workspace.environment, workspace.memory).linked
    groups = linked.fleet.value.groups.items() if linked else ()
    group = next((group for group, declared in groups if name in declared.workers), "")
    if group and linked:
        raise ControllerError(
            f"`{name}` is a worker of {linked.environment.fleet} (group `{group}`), so it isn't forgotten",
            "take it out there first, commit that, and `gitopsd apply`: then its jobs are elsewhere",
        )
    if head is None or name not in fleet:
        raise ControllerError(f"there is no worker `{name}`", did_you_mean(name, fleet))
    jobs = desired_release(workspace.repository, head.commit.tree, name).record.jobs
    if not fleet[name].leaving or any(job.draining is None for job in jobs.values()):
        raise ControllerError(
            f"`{name}` is out of the fleet file, and its jobs aren't placed elsewhere yet",
            "`gitopsd apply` first: it deploys without that worker, although it can't reach it",
        )
    return fleet[name]


def _last_jobs(repository: Repository, head: ArtifactHead, name: str) -> tuple[str, ...]:
    for commit in islice(deployments(repository, head.commit.id), _FARTHEST):
        if find_entry(repository, commit.tree, f"{WORKERS_FOLDER}/{name}") is None:
            return ()
        jobs = desired_release(repository, commit.tree, name).record.jobs
        if jobs:
            return tuple(sorted(jobs))
    return ()
