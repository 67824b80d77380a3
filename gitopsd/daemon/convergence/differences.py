"""Observe and decide: how one worker differs from its release, and which edits by hand converging overwrites."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gitopsd.daemon.secrets.handover import Handover
from gitopsd.fleet import verbs
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerRefused
from gitopsd.model.facts import Observation
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import Drift, find_drift
from gitopsd.planner.hot_edits import UNITS_FOLDER, FoundText, HotEdit, file_edit, find_edits, unit_edit

# more edits than that are said to be there, and not read
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How a worker differs from its release, and the edits by hand that converging overwrites."""

    worker: str
    drift: tuple[Drift, ...]
    edits: tuple[HotEdit, ...] = ()


class ReleaseBlobs(Protocol):
    """Releases that are in the repository, for many threads."""

    def files_of(self, release: str) -> Mapping[str, tuple[str, str]]: ...

    def read(self, blob: str) -> bytes: ...


def find_differences(
    connection: WorkerConnection,
    desired: DesiredRelease,
    blobs: ReleaseBlobs,
    secrets: Handover | None = None,
    *,
    traffic: bool = False,
) -> tuple[Observation, Differences]:
    """What is on the worker, and how that differs from its release. Changes nothing; raises WorkerError.

    Secrets are compared as far as their values are in `secrets`. `traffic`: also what its jobs say of their events.
    """
    observed = verbs.observe(connection, key=secrets.key if secrets else None, traffic=traffic)
    fingerprints = secrets.fingerprints if secrets else None
    drift = find_drift(desired, observed, connection.target.service_manager, fingerprints)
    edits = _edits(connection, desired, observed, blobs) if drift else ()
    return observed, Differences(worker=desired.worker, drift=drift, edits=edits)


def _edits(
    connection: WorkerConnection, desired: DesiredRelease, observed: Observation, blobs: ReleaseBlobs
) -> tuple[HotEdit, ...]:
    """What was edited by hand in the release that the worker holds, whichever that is."""
    if observed.release is None:
        return ()
    held = desired.files if observed.release == desired.id else blobs.files_of(observed.release)
    if not held:
        return ()
    found = find_edits(held, observed, connection.target.service_manager)
    if found.is_empty:
        return ()
    files, units = found.edited_files[:_MOST_SHOWN], found.units[:_MOST_SHOWN]
    problem = "more was edited than is read"
    texts: dict[str, FoundText] = {}
    try:
        for one in verbs.show(connection, files, units).shown:
            texts[one.path] = FoundText(text=one.text, problem=one.problem)
    except WorkerRefused as refused:
        problem = f"it could not be read: {refused.message}"
    unread = FoundText(problem=problem)
    edits: list[HotEdit | None] = []
    for path, change in found.files.items():
        wanted = blobs.read(held[path][1]) if path in held else b""
        edits.append(file_edit(path, change, texts.pop(path, unread), wanted))
    for path, text in texts.items():  # unit files, and what overrides them
        rendered = held.get(f"{UNITS_FOLDER}{path.rpartition('/')[2]}")
        edits.append(unit_edit(path, text, blobs.read(rendered[1]) if rendered else None))
    return tuple(edit for edit in edits if edit is not None)
