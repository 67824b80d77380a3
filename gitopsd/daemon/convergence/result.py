"""What becomes of one worker, and the releases that it is given from."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from gitopsd.daemon.artifacts.releases import Payload, held_blobs, payload, release_files
from gitopsd.daemon.convergence.differences import find_differences
from gitopsd.daemon.secrets.handover import Handover
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import Drift, drained_jobs
from gitopsd.planner.hot_edits import HotEdit
from gitopsd.repo.repository import Repository

State = Literal["in-sync", "drift", "converged", "failed", "rolled-back", "unreachable"]
"""`drift`: it differs, and was to be looked at only. `rolled-back`: it holds again what it held before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResult:
    """What became of one worker. `drift`: what was found, or what is left where it failed; `edits`: those by hand that
    were overwritten, or would be. `stage` is how far it got where no answer came (a Stage of `fleet.errors`, or
    `unexpected`), and empty where the worker answered. `failures` are job -> why and its last log lines; `drained` the
    jobs that have ended after draining; `seconds` by stage: `observe` with the connection, `activate`, and within that
    the worker's own `activate.<stage>`, `confirm`, and `health`.
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
    drained: tuple[str, ...] = ()

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

    def alone(self) -> AbstractContextManager[object]:
        """Nobody reads through this for the length of a `with`."""
        return self._lock


def compare(
    connection: WorkerConnection, desired: DesiredRelease, blobs: PayloadSource, secrets: Handover | None = None
) -> WorkerResult:
    """How a worker differs from its release, changing nothing: `in-sync` or `drift`. Raises WorkerError."""
    started = time.monotonic()
    observed, found = find_differences(connection, desired, blobs, secrets)
    return WorkerResult(
        worker=desired.worker,
        state="drift" if found.drift else "in-sync",
        drift=found.drift,
        edits=found.edits,
        seconds={"observe": time.monotonic() - started},
        drained=drained_jobs(desired, observed),
    )
