"""Giving a worker its release: only what it lacks travels."""

from gitopsd.daemon.convergence.result import PayloadSource
from gitopsd.daemon.secrets.handover import Handover
from gitopsd.fleet import verbs
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.errors import WorkerRefused
from gitopsd.fleet.protocol import Activation
from gitopsd.model.release import DesiredRelease

ACTIVATE_SECONDS = 120.0


def activate(
    connection: WorkerConnection,
    desired: DesiredRelease,
    blobs: PayloadSource,
    on_worker: tuple[str, ...],
    *,
    secrets: Handover | None,
    confirm_timeout: float,
    deployment: int,
) -> Activation:
    """`on_worker`: the releases that it holds. Local workers need no confirming: nobody is locked out of them.

    Raises WorkerError.
    """
    values, key = (secrets.values, secrets.key) if secrets else ({}, None)
    manifest = [(path, mode, blob) for path, (mode, blob) in desired.files.items()]
    missing: tuple[str, ...] = ()
    for attempt in (1, 2):
        sent = blobs.lacking(desired, on_worker, missing)
        try:
            return verbs.activate(
                connection,
                desired.id,
                manifest,
                (sent.blobs, sent.content),
                ACTIVATE_SECONDS,
                secrets=values,
                key=key,
                confirm_timeout=None if connection.target.connection == "local" else confirm_timeout,
                deployment=deployment,
            )
        except WorkerRefused as refused:
            # a release that it listed is damaged: what it lacks is named, and sent once more
            missing = tuple(refused.details.get("missing", ()))
            if refused.code != "bad-payload" or not missing or attempt > 1:
                raise
    raise AssertionError("unreachable")
