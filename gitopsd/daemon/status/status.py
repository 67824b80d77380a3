"""The four facts about each worker, kept apart: desired, last attempted, running, last good."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import Struct

from gitopsd.daemon.artifacts.control import (
    KnownCordon,
    KnownPause,
    KnownQuarantine,
    known_cordons,
    known_pause,
    known_quarantines,
)
from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.convergence.attempts import Remembered, attempts_of
from gitopsd.daemon.convergence.left_out import TriedInVain, tried_in_vain, utc
from gitopsd.daemon.errors import explain
from gitopsd.daemon.fleet_access import deployed_targets, reach_all
from gitopsd.daemon.history.rollout_note import RolloutNote, read_rollouts
from gitopsd.daemon.holds.holds import Hold, holds_of
from gitopsd.daemon.planning.deployed import Deployed
from gitopsd.daemon.secrets.handover import Handover, handover, secret_names
from gitopsd.daemon.secrets.resolve import Resolved, resolve_secrets
from gitopsd.daemon.status.switch_status import RolledBack, Unconfirmed, rolled_back, unconfirmed
from gitopsd.daemon.workers.lost import lost_workers
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import verbs
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerUnreachable
from gitopsd.fleet.fanout import Failed
from gitopsd.model.artifacts import WORKERS_FOLDER, LostWorker, PlacedWorker
from gitopsd.model.facts import Observation
from gitopsd.model.release import DesiredRelease
from gitopsd.model.secret import SecretValue
from gitopsd.planner.drift import draining_lines, failed_runs, find_drift, kept_from_draining
from gitopsd.planner.lost import Instant
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, deployments, list_folder

_OBSERVE_SECONDS = 60.0


class Attempt(Struct, frozen=True, kw_only=True):
    """The newest rollout that was to change a worker, and what came of it; `error` is empty where it went well."""

    deployment: int
    finished: str
    error: str = ""


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """Release ids, or empty where there is none or it isn't known.

    In sync means reachable, without `error` (what a worker that refused said), and without `drift`. `cordon` is None
    for a worker that takes jobs. `pause`, `quarantines`, by workflow, and `holds`, whatever keeps new versions away,
    are the environment's, and so the same for all workers. `unknown_secrets` are those whose values can't be had here,
    each with the reason: whether the worker has the right ones isn't known.
    `tried` is what this controller tried in vain, and `seen` when the worker last answered an attempt of it.
    `failed_runs` are scheduled jobs whose last run failed, and `draining` jobs that aren't placed there any more and
    finish what is left for them: neither is drift. `kept_from_draining` are those of them that can't, as it says there.
    """

    worker: str
    group: str
    desired: str
    last_attempted: Attempt | None
    running: str
    last_good: int | None
    reachable: bool
    error: str
    drift: tuple[str, ...]
    leaving: bool
    cordon: KnownCordon | None
    pause: KnownPause | None
    unknown_secrets: tuple[str, ...] = ()
    tried: TriedInVain | None = None
    seen: str = ""
    lost: LostWorker | None = None
    lost_after: int = 0
    unconfirmed: Unconfirmed | None = None
    rolled_back: RolledBack | None = None
    quarantines: Mapping[str, KnownQuarantine] = {}
    failed_runs: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    kept_from_draining: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One worker: what it should hold, and what was seen, or why nothing was."""

    desired: DesiredRelease
    group: str
    leaving: bool
    service_manager: str
    observation: Observation | None
    error: str
    refused: bool = False
    secrets: Handover | None = None


def observe_fleet(
    workspace: Workspace,
    deployed: Deployed,
    secrets: Mapping[str, SecretValue] | None = None,
    *,
    only: Collection[str] | None = None,
    traffic: bool = False,
) -> Iterator[Observed]:
    """Every worker of the head, or `only` some, as they answer; one that doesn't is there with its error.

    With `secrets`, the values that are known here, workers are asked for fingerprints of theirs; with `traffic`, what
    their jobs say of the events that pass them, as those are asked anyway where jobs drain, which may be kept from it.
    """
    if deployed.head is None:
        return
    tree = deployed.head.commit.tree
    desired = desired_releases(workspace.repository, tree)
    fleet = read_fleet(workspace.repository, tree)
    names = desired if only is None else only
    targets = {target.name: target for target in deployed_targets(workspace, deployed.branch, deployed.head, names)}
    given = {} if secrets is None else {name: handover(desired[name], secrets) for name in targets}

    def look(connection: WorkerConnection) -> Observation:
        name = connection.target.name
        known, drains = given.get(name), any(job.draining for job in desired[name].record.jobs.values())
        return verbs.observe(connection, key=known.key if known else None, traffic=traffic or drains)

    for outcome in reach_all(workspace, list(targets.values()), look, deadline=_OBSERVE_SECONDS, only_looks=True):
        observation, error = None, ""
        if not isinstance(outcome, Failed):
            observation = outcome.result
        else:
            error = explain(outcome.error).removeprefix(f"{outcome.worker}: ")
        yield Observed(
            desired=desired[outcome.worker],
            group=fleet[outcome.worker].group,
            leaving=fleet[outcome.worker].leaving,
            service_manager=targets[outcome.worker].service_manager,
            observation=observation,
            error=error,
            refused=isinstance(outcome, Failed) and not isinstance(outcome.error, WorkerUnreachable),
            secrets=given.get(outcome.worker),
        )


def worker_statuses(workspace: Workspace, deployed: Deployed) -> list[WorkerStatus]:
    """All workers by name."""
    if deployed.head is None:
        return []
    attempts = _Attempts(workspace, deployed.branch, deployed.head)
    secrets = deployed_secrets(workspace, deployed.head)
    shown = _shown(workspace, deployed.branch, deployed.head, secrets.problems)
    return sorted(
        (_status(observed, attempts, shown) for observed in observe_fleet(workspace, deployed, secrets.values)),
        key=lambda status: status.worker,
    )


def status_of(workspace: Workspace, deployed: Deployed, observed: Observed) -> WorkerStatus:
    """The status of one worker that was observed. `deployed` has a head."""
    if deployed.head is None:
        raise ValueError("nothing is deployed")
    unknown = deployed_secrets(workspace, deployed.head).problems
    shown = _shown(workspace, deployed.branch, deployed.head, unknown)
    return _status(observed, _Attempts(workspace, deployed.branch, deployed.head), shown)


def deployed_secrets(workspace: Workspace, head: ArtifactHead) -> Resolved:
    """What can be had here of the secrets that the deployed jobs ask for."""
    names = {
        name
        for release in desired_releases(workspace.repository, head.commit.tree).values()
        for name in secret_names(release)
    }
    commit = (workspace.source_of_commit().commit or "") if names else ""  # what `apply` would read
    return resolve_secrets(workspace.configuration, names, workspace.repository, commit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What is shown of a worker besides what was observed. `unknown`: secret -> why its value can't be had here."""

    cordons: Mapping[str, KnownCordon]
    pause: KnownPause | None
    quarantines: Mapping[str, KnownQuarantine]
    holds: tuple[Hold, ...]
    unknown: Mapping[str, str]
    remembered: Mapping[str, Remembered]
    lost: Mapping[str, LostWorker]
    fleet: Mapping[str, PlacedWorker]
    deployment: int
    now: Instant


def _shown(workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, unknown: Mapping[str, str]) -> _Shown:
    attempts = attempts_of(workspace, branch)
    return _Shown(
        cordons=known_cordons(workspace.repository, head),
        pause=known_pause(workspace.repository, head),
        quarantines=known_quarantines(workspace.repository, head),
        holds=holds_of(workspace, head, datetime.now(UTC)),
        unknown=unknown,
        remembered=attempts.known(),
        lost=lost_workers(workspace.repository, head),
        fleet=read_fleet(workspace.repository, head.commit.tree),
        deployment=number_of(head),
        now=attempts.now(),
    )


def _status(observed: Observed, attempts: "_Attempts", shown: _Shown) -> WorkerStatus:
    worker = observed.desired.worker
    seen = observed.observation
    fingerprints = observed.secrets.fingerprints if observed.secrets else None
    drift = () if seen is None else find_drift(observed.desired, seen, observed.service_manager, fingerprints)
    attempt, good = attempts.of(worker)
    remembered = shown.remembered.get(worker)
    return WorkerStatus(
        worker=worker,
        group=observed.group,
        desired=observed.desired.id,
        last_attempted=attempt,
        running=(seen.release or "") if seen else "",
        last_good=good,
        reachable=seen is not None or observed.refused,
        error=observed.error,
        drift=tuple(map(str, drift)),
        leaving=observed.leaving,
        cordon=shown.cordons.get(worker),
        pause=shown.pause,
        quarantines=shown.quarantines,
        holds=shown.holds,
        unknown_secrets=tuple(
            f"`{name}`: {shown.unknown[name]}"
            for name in sorted(secret_names(observed.desired))
            if name in shown.unknown
        ),
        # nothing is tried of a worker that is well, though the one who put it right may have been another than we
        tried=tried_in_vain(remembered, observed.desired, shown.deployment, shown.now) if drift or not seen else None,
        seen=utc(remembered.seen) if remembered and remembered.seen else "",
        lost=shown.lost.get(worker),
        unconfirmed=unconfirmed(seen),
        rolled_back=rolled_back(seen, observed.desired.id),
        lost_after=shown.fleet[worker].lost_after if worker in shown.fleet else 0,
        draining=() if seen is None else draining_lines(observed.desired, seen),
        kept_from_draining=() if seen is None else tuple(kept_from_draining(observed.desired, seen)),
        failed_runs=()
        if seen is None
        else tuple(f"{job}: its last run failed ({how})" for job, how in failed_runs(observed.desired, seen).items()),
    )


class _Attempts:
    """What the record says about workers: which deployments changed each, and how its rollouts ended."""

    _MOST_DEPLOYMENTS = 200

    def __init__(self, workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead) -> None:
        repository = workspace.repository
        self._records: list[tuple[int, dict[str, str], RolloutNote]] = []
        for count, commit in enumerate(deployments(repository, head.commit.id)):
            if count == self._MOST_DEPLOYMENTS or commit.trailers is None:
                break
            releases = {name: entry.id for name, entry in list_folder(repository, commit.tree, WORKERS_FOLDER).items()}
            self._records.append((commit.trailers.deployment, releases, read_rollouts(repository, branch, commit)))

    def of(self, worker: str) -> tuple[Attempt | None, int | None]:
        """The worker's last attempt, and the newest deployment after which it was well."""
        attempt: Attempt | None = None
        for number, releases, note in self._records:
            for rollout in reversed(note.rollouts):
                if worker not in releases or not rollout.tried(worker):
                    continue
                error = rollout.errors.get(worker, "")
                attempt = attempt or Attempt(deployment=number, finished=rollout.finished, error=error)
                if not error:
                    return attempt, number
        return attempt, None


def age(seconds_since_epoch: float | None, now: datetime | None = None) -> str:
    """How long ago, in words of at most two units; empty when not known."""
    if not seconds_since_epoch:
        return ""
    return _rounded(max(0, int((now or datetime.now(UTC)).timestamp() - seconds_since_epoch)))


def time_left(seconds_since_epoch: float, now: datetime | None = None) -> str:
    """How long until then; `now` is for what is due."""
    seconds = int(seconds_since_epoch - (now or datetime.now(UTC)).timestamp())
    return f"in {_rounded(seconds)}" if seconds > 0 else "now"


def _rounded(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
