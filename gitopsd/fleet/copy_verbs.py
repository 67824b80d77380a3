"""The agent's verbs about unmanaged copies, one typed function each, over any connection."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from gitopsd.fleet.protocol import Cloned, Copies, Copy, Fed, RemovedCopy, decode

if TYPE_CHECKING:
    from gitopsd.fleet.connection import WorkerConnection

# for the answer to travel after the worker's own deadline has passed
_GRACE_SECONDS = 30.0
_SECONDS = 90.0
_FEED_SECONDS = 300.0


def copies(connection: WorkerConnection) -> tuple[Copy, ...]:
    """Every copy on the worker, with its state."""
    answer = connection.call("copies", {"owner": _owner(connection)})
    return decode(connection.target.name, "copies", answer, Copies).copies


def clone(connection: WorkerConnection, job: str, name: str, *, start: bool) -> Cloned:
    """Make a copy of a job of the worker's current release. WorkerRefused `not-found`, `exists`, `unsupported`."""
    request = {"owner": _owner(connection), "job": job, "name": name, "start": start, "deadline": _SECONDS}
    answer = connection.call("clone", request, timeout=_SECONDS + _GRACE_SECONDS)
    return decode(connection.target.name, "clone", answer, Cloned)


def remove_copy(connection: WorkerConnection, name: str) -> RemovedCopy:
    """Stop a copy and remove all of it. WorkerRefused `not-found`, `busy`."""
    request = {"owner": _owner(connection), "name": name, "deadline": _SECONDS}
    answer = connection.call("remove-copy", request, timeout=_SECONDS + _GRACE_SECONDS)
    return decode(connection.target.name, "remove-copy", answer, RemovedCopy)


def feed(connection: WorkerConnection, name: str, port: str | None, events: bytes) -> Fed:
    """Hand lines to an input of a running copy. WorkerRefused `not-found`, `not-running`."""
    request = {"owner": _owner(connection), "name": name, "port": port, "deadline": _FEED_SECONDS}
    answer = connection.call("feed", request, zlib.compress(events), timeout=_FEED_SECONDS + _GRACE_SECONDS)
    return decode(connection.target.name, "feed", answer, Fed)


def _owner(connection: WorkerConnection) -> str:
    owner = connection.target.owner
    if owner is None:
        raise ValueError(f"{connection.target.name}: copies are made for an artifact branch only")
    return owner.root_commit
