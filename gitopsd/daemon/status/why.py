"""Why a worker, or one of its jobs, is as it is: one chain from the commit that decided to what happens next."""

from msgspec import Struct
from msgspec.structs import replace

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.status.next_action import next_action, next_attempt
from gitopsd.daemon.status.status import Observed, WorkerStatus, observe_fleet, status_of
from gitopsd.daemon.status.workloads import Workload, workloads
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import WORKERS_FOLDER
from gitopsd.model.names import did_you_mean
from gitopsd.planner.drift import Drift, find_drift
from gitopsd.repo.artifacts import ArtifactCommit, ArtifactHead, deployments, list_folder
from gitopsd.repo.repository import Repository

_MOST_DEPLOYMENTS = 200


class Cause(Struct, frozen=True, kw_only=True):
    """The deployment that made a release, or a job of it, what it is now."""

    deployment: int
    source_commit: str
    trigger: str
    author: str
    time: str
    subject: str


class Why(Struct, frozen=True, kw_only=True):
    """The chain of a worker. Where a job was asked for, `workload` is what runs of it, and drift what concerns it.

    `next` is what a person has to do, `next_attempt` what is tried without one, and when; empty where nothing is.
    """

    status: WorkerStatus
    cause: Cause | None
    job: str | None = None
    workload: Workload | None = None
    next: str
    next_attempt: str = ""


def explain_worker(workspace: Workspace, worker: str, job: str | None) -> Why:
    """Observes that one worker. Raises DiagnosticsError, RepositoryError, ControllerError."""
    deployed = open_deployed(workspace)
    if deployed.head is None:
        raise ControllerError(f"nothing is deployed to {deployed.branch.environment} yet", "`gitopsd apply` deploys")
    desired = desired_releases(workspace.repository, deployed.head.commit.tree)
    if worker not in desired:
        raise ControllerError(f"nothing is deployed to a worker `{worker}`", did_you_mean(worker, desired))
    jobs = desired[worker].record.jobs
    if job is not None and job not in jobs:
        raise ControllerError(f"no job `{job}` is deployed to {worker}", did_you_mean(job, jobs))
    (observed,) = observe_fleet(workspace, deployed, only=frozenset({worker}), traffic=job is not None)
    drift = _drift(observed, job)
    status = status_of(workspace, deployed, observed)
    failed_runs = tuple(one for one in status.failed_runs if job is None or one.startswith(f"{job}: "))
    draining = tuple(one for one in status.draining if job is None or one.startswith(f"{job}: "))
    kept = tuple(one for one in status.kept_from_draining if job in {None, one})
    status = replace(
        status, drift=tuple(map(str, drift)), failed_runs=failed_runs, draining=draining, kept_from_draining=kept
    )
    workload = next((one for one in workloads(observed) if one.job == job), None)
    return Why(
        status=status,
        cause=_cause(workspace.repository, deployed.head, worker, job),
        job=job,
        workload=workload,
        next=next_action(status, drift, number_of(deployed.head)),
        next_attempt=next_attempt(status, drift),
    )


def _drift(observed: Observed, job: str | None) -> tuple[Drift, ...]:
    """All of it, or what concerns the job: its own, and what is wrong with the release as a whole."""
    if observed.observation is None:
        return ()
    found = find_drift(observed.desired, observed.observation, observed.service_manager)
    if job is None:
        return found
    return tuple(
        one
        for one in found
        if one.subject in {"", job} or one.subject.startswith((f"jobs/{job}/", "runtime/", "libraries/"))
    )


def _cause(repository: Repository, head: ArtifactHead, worker: str, job: str | None) -> Cause | None:
    """The oldest deployment since which it has been what it is at the head."""
    wanted = _identity(repository, head.commit.tree, worker, job)
    since: ArtifactCommit | None = None
    for count, commit in enumerate(deployments(repository, head.commit.id)):
        if count == _MOST_DEPLOYMENTS or _identity(repository, commit.tree, worker, job) != wanted:
            break
        since = commit
    if since is None or since.trailers is None:
        return None
    return Cause(
        deployment=since.trailers.deployment,
        source_commit=since.trailers.source_commit,
        trigger=since.trailers.trigger,
        author=since.author,
        time=since.time.isoformat(timespec="seconds"),
        subject=since.subject.removeprefix(f"Deployment {since.trailers.deployment}: "),
    )


def _identity(repository: Repository, tree: str, worker: str, job: str | None) -> str | None:
    """What tells one state of a worker's release, or of a job in it, from another."""
    release = list_folder(repository, tree, WORKERS_FOLDER).get(worker)
    if release is None or job is None:
        return release.id if release else None
    found = desired_releases(repository, tree)[worker].record.jobs.get(job)
    return found.digest if found else None
