"""One worker made equal to its release: observe → decide → act → read back. Apply and reconcile both come here."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from gitopsd.daemon.releases import Payload, held_blobs, payload
from gitopsd.daemon.secrets.handover import Handover
from gitopsd.fleet import verbs
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerError, WorkerRefused
from gitopsd.fleet.protocol import Activation
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import Drift, find_drift
from gitopsd.repo.repository import Repository

_MOST_RELEASES = 4

State = Literal["in-sync", "converged", "failed", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResult:
    """What became of one worker: `failures` are job -> why and its last log lines; `seconds` by stage: `observe` with
    the connection, `activate`, and within that the worker's own `activate.<stage>`.
    """

    worker: str
    state: State
    drift: tuple[Drift, ...] = ()
    error: str = ""
    touched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failures: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class PayloadSource:
    """Reads blobs for many threads: libgit2's repository belongs to one at a time."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._lock = Lock()

    def lacking(
        self, desired: DesiredRelease, releases_on_worker: tuple[str, ...], also: tuple[str, ...] = ()
    ) -> Payload:
        """What the worker lacks; `also` names blobs that it turned out not to have after all."""
        with self._lock:
            held = held_blobs(self._repository, releases_on_worker) - set(also)
            return payload(self._repository, desired, held)


def converge(
    connection: WorkerConnection,
    desired: DesiredRelease,
    blobs: PayloadSource,
    deadline: float,
    secrets: Handover | None = None,
) -> WorkerResult:
    """Raises WorkerError; everything about the jobs themselves is in the result."""
    manager = connection.target.service_manager
    started = time.monotonic()
    key, fingerprints = (secrets.key, secrets.fingerprints) if secrets else (None, None)
    observed = verbs.observe(connection, key=key)
    seconds = {"observe": time.monotonic() - started}
    drift = find_drift(desired, observed, manager, fingerprints)
    if not drift:
        return WorkerResult(worker=desired.worker, state="in-sync", seconds=seconds)
    started = time.monotonic()
    activation = _activate(connection, desired, blobs, observed.releases, deadline, secrets=secrets)
    seconds["activate"] = time.monotonic() - started
    remaining = find_drift(desired, activation.observation, manager, fingerprints)
    if not remaining and len(activation.observation.releases) > _MOST_RELEASES:
        # the release before stays: returning to it then sends nothing
        with suppress(WorkerError):  # the next activation prunes as well; this one is done
            verbs.prune(connection, {desired.id, observed.release or desired.id})
    failures = {job: (failure.message, failure.log) for job, failure in activation.failed.items()}
    return WorkerResult(
        worker=desired.worker,
        state="failed" if remaining or failures else "converged",
        drift=remaining or drift,
        error="; ".join(f"{one.subject or 'release'}: {one.detail}" for one in remaining[:5]),
        touched={
            "started": activation.started,
            "restarted": activation.restarted,
            "reloaded": activation.reloaded,
            "stopped": activation.stopped,
        },
        failures=failures,
        seconds={**seconds, **{f"activate.{stage}": spent for stage, spent in activation.seconds.items()}},
    )


def _activate(
    connection: WorkerConnection,
    desired: DesiredRelease,
    blobs: PayloadSource,
    on_worker: tuple[str, ...],
    deadline: float,
    *,
    secrets: Handover | None,
) -> Activation:
    values, key = (secrets.values, secrets.key) if secrets else ({}, None)
    manifest = [(path, mode, blob) for path, (mode, blob) in desired.files.items()]
    missing: tuple[str, ...] = ()
    for attempt in (1, 2):
        sent = blobs.lacking(desired, on_worker, missing)
        try:
            return verbs.activate(
                connection, desired.id, manifest, (sent.blobs, sent.content), deadline, secrets=values, key=key
            )
        except WorkerRefused as refused:
            # a release that it listed is damaged: what it lacks is named, and sent once more
            missing = tuple(refused.details.get("missing", ()))
            if refused.code != "bad-payload" or not missing or attempt > 1:
                raise
    raise AssertionError("unreachable")
