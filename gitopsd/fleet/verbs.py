"""The verbs of the agent, one typed function each, over any connection."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from gitopsd.fleet.connection import OBSERVE_SECONDS
from gitopsd.fleet.protocol import (
    Activation,
    Confirmed,
    Health,
    Logs,
    Probe,
    Pruned,
    RolledBack,
    Shown,
    TornDown,
    decode,
)
from gitopsd.model.facts import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.model.facts import Owner
    from gitopsd.model.secret import SecretValue

# for the answer to travel after the worker's own deadline has passed
_GRACE_SECONDS = 30.0
_TEARDOWN_SECONDS = 150.0
_CONFIRM_SECONDS = 15.0
_ROLLBACK_SECONDS = 120.0


def probe(connection: WorkerConnection, timeout: float = 60.0) -> Probe:
    return decode(connection.target.name, "probe", connection.call("probe", {}, timeout=timeout), Probe)


def observe(
    connection: WorkerConnection,
    timeout: float = OBSERVE_SECONDS,
    *,
    key: bytes | None = None,
    traffic: bool = False,
) -> Observation:
    """What the worker holds and runs; WorkerRefused `owned-by-another` when it isn't its target's owner's.

    key: what the fingerprints of secrets are to be made with, a fresh one each time; without it there are none.
    traffic: with what its jobs say of the events that pass them.
    """
    request = {"owner": _root_commit(connection), **_fingerprint_key(key), **({"traffic": True} if traffic else {})}
    answer = connection.call("observe", request, timeout=timeout)
    return decode(connection.target.name, "observe", answer, Observation)


def activate(
    connection: WorkerConnection,
    release: str,
    manifest: Sequence[tuple[str, str, str]],
    payload: tuple[Sequence[tuple[str, int]], bytes],
    deadline: float = 120.0,
    *,
    secrets: Mapping[str, SecretValue] | None = None,
    key: bytes | None = None,
    confirm_timeout: float | None = None,
    deployment: int = 0,
) -> Activation:
    """Make the worker hold a release and start its jobs; whether they are ready then is for `health` to tell.

    manifest: (path, mode, blob id) of the whole release. payload: (blob id, size) of what is sent along, and the
    zlib of those blobs in that order. deadline: seconds that the worker takes at most.
    secrets: the values of all that the release's jobs ask for. key: as for `observe`.
    confirm_timeout: seconds after which the worker undoes what it changed unless `confirm` came; None for never.
    deployment: the number of the deployment at the head of the artifact branch; 0 for none, which is not compared.
    WorkerRefused `bad-payload` with details["missing"]: blob ids that have to be sent as well; `stale`: the worker was
    activated for a later deployment already.
    """
    owner = _owner(connection)
    request: dict[str, Any] = {
        "owner": {"root_commit": owner.root_commit, "environment": owner.environment},
        "release": release,
        "manifest": manifest,
        "payload": payload[0],
        "deadline": deadline,
        "confirm_timeout": confirm_timeout,
        "deployment": deployment,
        "credentials": {name: b64encode(value.reveal()).decode() for name, value in (secrets or {}).items()},
        **_fingerprint_key(key),
    }
    answer = connection.call("activate", request, payload[1], timeout=deadline + _GRACE_SECONDS)
    return decode(connection.target.name, "activate", answer, Activation)


def confirm(connection: WorkerConnection, token: str, release: str) -> Confirmed:
    """Keep what an activation changed: to be called over a new connection, since that is what it proves.

    WorkerRefused `rolled-back` when it is too late, `stale` when another activation came in between, `busy` while the
    activation is under way or where it was cut short: activate again then.
    """
    request = {"owner": _root_commit(connection), "token": token, "release": release}
    answer = connection.call("confirm", request, timeout=_CONFIRM_SECONDS)
    return decode(connection.target.name, "confirm", answer, Confirmed)


def rollback(
    connection: WorkerConnection, reason: str, *, token: str | None = None, release: str | None = None
) -> RolledBack:
    """Undo the activation that waits for its confirmation, as the worker would at the end of its patience.

    token: only the activation that this one was given for. release: only one of that release.
    WorkerRefused `not-armed` where none waits.
    """
    request = {
        "owner": _root_commit(connection),
        "reason": reason,
        "token": token,
        "release": release,
        "deadline": _ROLLBACK_SECONDS,
    }
    answer = connection.call("rollback", request, timeout=_ROLLBACK_SECONDS + _GRACE_SECONDS)
    return decode(connection.target.name, "rollback", answer, RolledBack)


def health(
    connection: WorkerConnection,
    release: str,
    *,
    min_healthy_time: float = 0.0,
    wait: float = 2.0,
    key: bytes | None = None,
) -> Health:
    """How the jobs of the current release are; answers once none is pending, or after `wait` seconds.

    A service is healthy when it runs, is ready, and was up without a restart for min_healthy_time seconds; another kind
    of job as long as it has not failed. key: as for `observe`. WorkerRefused `stale`: another release is current.
    """
    request = {
        "owner": _root_commit(connection),
        "release": release,
        "min_healthy_time": min_healthy_time,
        "wait": wait,
        **_fingerprint_key(key),
    }
    answer = connection.call("health", request, timeout=wait + _GRACE_SECONDS)
    return decode(connection.target.name, "health", answer, Health)


def prune(connection: WorkerConnection, keep: Iterable[str]) -> Pruned:
    """Remove releases that are neither kept, nor current, nor still run from."""
    answer = connection.call("prune", {"keep": sorted(keep)}, timeout=60.0 + _GRACE_SECONDS)
    return decode(connection.target.name, "prune", answer, Pruned)


def teardown(connection: WorkerConnection, *, with_copies: bool = False) -> TornDown:
    """Stop and remove all that gitopsd has on the worker; what jobs wrote elsewhere stays.

    WorkerRefused `has-copies` with details["copies"], unless those go too.
    """
    request = {"owner": _root_commit(connection), "deadline": _TEARDOWN_SECONDS, "with_copies": with_copies}
    answer = connection.call("teardown", request, timeout=_TEARDOWN_SECONDS + _GRACE_SECONDS)
    return decode(connection.target.name, "teardown", answer, TornDown)


def logs(connection: WorkerConnection, job: str, lines: int = 100) -> Logs:
    """The last lines that a job printed."""
    return decode(connection.target.name, "logs", connection.call("logs", {"job": job, "lines": lines}), Logs)


def show(connection: WorkerConnection, files: Sequence[str], units: Sequence[str]) -> Shown:
    """What is in files of the current release, and in unit files of jobs and their drop-ins; at most 200 in all."""
    request = {"owner": _root_commit(connection), "files": files, "units": units}
    return decode(connection.target.name, "show", connection.call("show", request), Shown)


def _fingerprint_key(key: bytes | None) -> dict[str, str]:
    return {} if key is None else {"fingerprint_key": key.hex()}


def _owner(connection: WorkerConnection) -> Owner:
    owner = connection.target.owner
    if owner is None:
        raise ValueError(f"{connection.target.name}: a worker is activated for an artifact branch only")
    return owner


def _root_commit(connection: WorkerConnection) -> str | None:
    owner = connection.target.owner
    return None if owner is None else owner.root_commit
