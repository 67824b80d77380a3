"""One worker made equal to its release: observe → decide → act → read back. Apply and reconcile both come here."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from gitopsd.daemon.differences import Differences, find_differences
from gitopsd.daemon.releases import Payload, held_blobs, payload, release_files
from gitopsd.daemon.secrets.handover import Handover
from gitopsd.fleet import verbs
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerError, WorkerRefused
from gitopsd.fleet.protocol import Activation
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import Drift, find_drift
from gitopsd.planner.hot_edits import HotEdit
from gitopsd.repo.repository import Repository

_MOST_RELEASES = 4

State = Literal["in-sync", "drift", "converged", "failed", "unreachable"]
"""`drift`: it differs, and was to be looked at only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResult:
    """What became of one worker. `drift`: what was found, or what is left where it failed; `edits`: those by hand that
    were overwritten, or would be. `stage` is how far it got where no answer came (a Stage of `fleet.errors`, or
    `unexpected`), and empty where the worker answered. `failures` are job -> why and its last log lines; `seconds` by
    stage: `observe` with the connection, `activate`, and within that the worker's own `activate.<stage>`.
    """

    worker: str
    state: State
    drift: tuple[Drift, ...] = ()
    edits: tuple[HotEdit, ...] = ()
    error: str = ""
    stage: str = ""
    touched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failures: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """Why it isn't well, in one line without logs."""
        failures = [f"{job}: {message}" for job, (message, _) in self.failures.items()]
        return "; ".join(failures) or self.error


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

    def files_of(self, release: str) -> Mapping[str, tuple[str, str]]:
        """Path -> (mode, blob id) of a release; empty where this repository doesn't know it."""
        with self._lock:
            return release_files(self._repository, release)

    def read(self, blob: str) -> bytes:
        with self._lock:
            return self._repository.read(blob, "blob")


def compare(
    connection: WorkerConnection, desired: DesiredRelease, blobs: PayloadSource, secrets: Handover | None = None
) -> WorkerResult:
    """How a worker differs from its release, changing nothing: `in-sync` or `drift`. Raises WorkerError."""
    started = time.monotonic()
    _, found = find_differences(connection, desired, blobs, secrets)
    return WorkerResult(
        worker=desired.worker,
        state="drift" if found.drift else "in-sync",
        drift=found.drift,
        edits=found.edits,
        seconds={"observe": time.monotonic() - started},
    )


def converge(
    connection: WorkerConnection,
    desired: DesiredRelease,
    blobs: PayloadSource,
    deadline: float,
    *,
    secrets: Handover | None = None,
    about_to_change: Callable[[Differences], None] = lambda _: None,
) -> WorkerResult:
    """Raises WorkerError; everything about the jobs themselves is in the result.

    `about_to_change` is told of the differences before the worker is touched, on the thread of this call.
    """
    manager = connection.target.service_manager
    started = time.monotonic()
    observed, differences = find_differences(connection, desired, blobs, secrets)
    seconds = {"observe": time.monotonic() - started}
    drift = differences.drift
    if not drift:
        return WorkerResult(worker=desired.worker, state="in-sync", seconds=seconds)
    about_to_change(differences)
    started = time.monotonic()
    activation = _activate(connection, desired, blobs, observed.releases, deadline, secrets=secrets)
    seconds["activate"] = time.monotonic() - started
    fingerprints = secrets.fingerprints if secrets else None
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
        edits=differences.edits,
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
