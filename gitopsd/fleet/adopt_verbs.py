"""The agent's verb `adopt`, in its two halves: looking at whom a worker belongs to, and changing that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitopsd.fleet.protocol import Adopted, Ownership, decode

if TYPE_CHECKING:
    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.model.facts import Owner

_SECONDS = 60.0
_GRACE_SECONDS = 30.0


def ownership(connection: WorkerConnection) -> Ownership:
    """Whom the worker belongs to, whoever asks; changes nothing."""
    return decode(connection.target.name, "adopt", connection.call("adopt", {"dry_run": True}), Ownership)


def adopt(connection: WorkerConnection, owner: Owner, previous: Ownership) -> Adopted:
    """Make `owner` the worker's owner, who hasn't deployed to it yet, in place of `previous`.

    WorkerRefused `owner-changed` when it is in other hands by now, or was activated meanwhile; `busy`.
    """
    held = None if previous.owner is None else _as_json(previous.owner)
    request = {
        "owner": _as_json(owner),
        "previous": {"owner": held, "deployment": previous.deployment},
        "deadline": _SECONDS,
    }
    answer = connection.call("adopt", request, timeout=_SECONDS + _GRACE_SECONDS)
    return decode(connection.target.name, "adopt", answer, Adopted)


def _as_json(owner: Owner) -> dict[str, Any]:
    return {"root_commit": owner.root_commit, "environment": owner.environment}
