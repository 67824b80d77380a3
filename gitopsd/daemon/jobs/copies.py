"""Unmanaged copies of jobs: made on the worker of their job, then a person's. No deployment knows of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.errors import ControllerError, explain
from gitopsd.daemon.fleet_access import deployed_targets, reach, reach_all
from gitopsd.daemon.planning.deployed import Deployed, open_deployed
from gitopsd.daemon.status.status import observe_fleet
from gitopsd.daemon.status.workloads import Workload, workloads
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import copy_verbs
from gitopsd.fleet.fanout import Failed
from gitopsd.fleet.protocol import Cloned, Copy, Fed
from gitopsd.fleet.target import Target
from gitopsd.model.names import did_you_mean

_LIST_SECONDS = 60.0
_LONGEST_NAME = 63


class ListedJob(Struct, frozen=True, kw_only=True):
    """A job or a copy of one, as it is on its worker. `copied_from` is empty for a managed job."""

    worker: str
    name: str
    managed: bool
    state: str
    main_pid: int
    restarts: int
    since: float | None
    copied_from: str = ""
    release: str = ""
    made: float | None = None
    starts_at_boot: bool = True
    directory: str = ""
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """All jobs that could be seen; `errors`: worker -> why nothing, or not all, was."""

    jobs: tuple[ListedJob, ...]
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clonable:
    """A job that is to be copied, and the name of the copy."""

    job: str
    name: str
    target: Target
    secrets: tuple[str, ...]


def list_jobs(workspace: Workspace) -> Listed:
    """Managed jobs and copies of every worker that answers. Raises what opening the branch does, never WorkerError."""
    deployed = open_deployed(workspace)
    found: list[ListedJob] = []
    errors: dict[str, str] = {}
    with_copies: list[str] = []
    for observed in observe_fleet(workspace, deployed):
        worker = observed.desired.worker
        if observed.error:
            errors[worker] = observed.error
        if observed.observation is not None and observed.observation.copies:
            with_copies.append(worker)
        found += [_managed(workload) for workload in workloads(observed)]
    for worker, result in _copies(workspace, deployed, with_copies):
        if isinstance(result, str):
            errors[worker] = result
        else:
            found += [_unmanaged(worker, copy) for copy in result]
    return Listed(jobs=tuple(sorted(found, key=lambda one: (one.worker, not one.managed, one.name))), errors=errors)


def clonable(workspace: Workspace, job: str, name: str | None, worker: str | None) -> Clonable:
    """Which job that is, where it is, and what its copy is to be called. Raises ControllerError."""
    deployed = open_deployed(workspace)
    if deployed.head is None:
        raise ControllerError(f"nothing is deployed to {deployed.branch.environment} yet", "`gitopsd apply` deploys")
    releases = desired_releases(workspace.repository, deployed.head.commit.tree)
    if worker is not None and worker not in releases:
        raise ControllerError(f"nothing is deployed to a worker `{worker}`", did_you_mean(worker, releases))
    places = sorted(one for one, release in releases.items() if job in release.record.jobs)
    if not places:
        known = [one for release in releases.values() for one in release.record.jobs]
        raise ControllerError(f"no job `{job}` is deployed", did_you_mean(job, known))
    if worker is None and len(places) > 1:
        raise ControllerError(f"{job} is on {' and '.join(places)}", "say which with --on WORKER")
    chosen = worker or places[0]
    if chosen not in places:
        raise ControllerError(
            f"{job} is on {places[0]}, not on {chosen}", "a copy lives where its job is, with its files and data"
        )
    (target,) = deployed_targets(workspace, deployed.branch, deployed.head, [chosen])
    secrets = releases[chosen].record.jobs[job].secrets
    return Clonable(job=job, name=name or _default_name(job), target=target, secrets=secrets)


def clone(workspace: Workspace, chosen: Clonable, *, start: bool) -> Cloned:
    """Raises WorkerError."""
    with reach(workspace, chosen.target) as connection:
        return copy_verbs.clone(connection, chosen.job, chosen.name, start=start)


def find_copy(workspace: Workspace, name: str, worker: str | None) -> tuple[Target, Copy]:
    """The one copy of that name; workers are asked. Raises ControllerError where there is none, or more than one."""
    deployed = open_deployed(workspace)
    found: list[tuple[str, Copy]] = []
    known: list[str] = []
    errors: dict[str, str] = {}
    for one, result in _copies(workspace, deployed, None if worker is None else [worker]):
        if isinstance(result, str):
            errors[one] = result
        else:
            known += [copy.name for copy in result]
            found += [(one, copy) for copy in result if copy.name == name]
    if not found:
        unasked = "".join(f"\n{one}: {error}" for one, error in sorted(errors.items()))
        where = f" on {worker}" if worker else ""
        hint = did_you_mean(name, sorted(set(known))) or "`gitopsd job list` shows them"
        raise ControllerError(f"there is no copy `{name}`{where}{unasked}", hint)
    if len(found) > 1:
        workers = " and ".join(sorted(one for one, _ in found))
        raise ControllerError(f"there are copies `{name}` on {workers}", "say which with --on WORKER")
    (chosen, copy) = found[0]
    if deployed.head is None:
        raise ValueError("a copy was found where nothing is deployed")
    (target,) = deployed_targets(workspace, deployed.branch, deployed.head, [chosen])
    return target, copy


def remove(workspace: Workspace, target: Target, name: str) -> None:
    """Raises WorkerError."""
    with reach(workspace, target) as connection:
        copy_verbs.remove_copy(connection, name)


def feed(workspace: Workspace, target: Target, name: str, port: str | None, events: bytes) -> Fed:
    """Raises WorkerError."""
    with reach(workspace, target) as connection:
        return copy_verbs.feed(connection, name, port, events)


def _copies(
    workspace: Workspace, deployed: Deployed, names: Collection[str] | None
) -> Iterator[tuple[str, Sequence[Copy] | str]]:
    """The copies of the named workers, or all, or why they aren't known."""
    if deployed.head is None:
        return
    asked = desired_releases(workspace.repository, deployed.head.commit.tree) if names is None else names
    targets = deployed_targets(workspace, deployed.branch, deployed.head, asked)
    for name in sorted(set(asked) - {target.name for target in targets}):
        raise ControllerError(f"nothing is deployed to a worker `{name}`", "`gitopsd status` shows the workers")
    for outcome in reach_all(workspace, targets, copy_verbs.copies, deadline=_LIST_SECONDS):
        if isinstance(outcome, Failed):
            yield outcome.worker, explain(outcome.error).removeprefix(f"{outcome.worker}: ")
        else:
            yield outcome.worker, outcome.result


def _managed(workload: Workload) -> ListedJob:
    return ListedJob(
        worker=workload.worker,
        name=workload.job,
        managed=True,
        state=workload.state,
        main_pid=workload.main_pid,
        restarts=workload.restarts,
        since=workload.since,
        starts_at_boot=workload.state not in {"unknown", "missing"},
    )


def _unmanaged(worker: str, copy: Copy) -> ListedJob:
    state = copy.state
    return ListedJob(
        worker=worker,
        name=copy.name,
        managed=False,
        state="broken" if state is None else state_word(state.active),
        main_pid=state.main_pid if state else 0,
        restarts=state.restarts if state else 0,
        since=state.since if state and state.active == "active" else None,
        copied_from=copy.job,
        release=copy.release,
        made=copy.made,
        starts_at_boot=state.enabled if state else False,
        directory=copy.directory,
        secrets=copy.secrets,
    )


def state_word(active: str) -> str:
    return {"active": "running", "inactive": "stopped"}.get(active, active)


def _default_name(job: str) -> str:
    plain = job.replace(".", "-").replace("_", "-")
    return f"{plain[: _LONGEST_NAME - len('-copy')].rstrip('-')}-copy"
