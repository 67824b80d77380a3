"""What happens to a worker next, when, and who has to do it."""

from gitopsd.daemon.status.status import WorkerStatus
from gitopsd.planner.drift import Drift


def next_action(status: WorkerStatus, drift: tuple[Drift, ...], newest: int) -> str:
    """Who has to do what; the first that fits. `newest` is the number of the newest deployment."""
    kinds = {one.kind for one in drift}
    attempt = status.last_attempted
    failed_now = attempt is not None and bool(attempt.error) and attempt.deployment == newest
    heal = f"`gitopsd reconcile {status.worker}`"
    unreached = f"bring the worker back, or put right how it is reached; then {heal} makes it catch up"
    rules = (
        (
            not status.reachable and status.lost is not None,
            f"{unreached}; what ran there runs elsewhere, and stays there",
        ),
        (not status.reachable, unreached),
        (
            status.unconfirmed is not None,
            f"wait, and ask again: {heal} confirms what it should hold, or tries it again once it was undone",
        ),
        (bool(status.error), f"do what the worker's refusal says; then run {heal}"),
        (
            not drift and bool(status.failed_runs),
            (
                "read `gitopsd logs JOB` for why the last run failed; nothing runs it before its time, which "
                "`gitopsd workloads` shows"
            ),
        ),
        (
            bool(status.kept_from_draining) and all(one.subject in status.kept_from_draining for one in drift),
            (
                "mend what keeps its jobs from draining, before their time is over: what is left for them then stays; "
                "`gitopsd logs JOB` has more"
            ),
        ),
        (not drift, "nothing: it is as it should be"),
        (
            "interrupted" in kinds and any("under way" in one.detail for one in drift),
            "wait: another run is at work on it; then ask again",
        ),
        (
            status.rolled_back is not None and status.rolled_back.release == status.desired,
            (
                "see what the deployment did to the way in (network, firewall, sshd) or to the load of the machine; "
                f"then change the source and apply, or run {heal}, which tries the same again"
            ),
        ),
        (
            failed_now,
            f"read what failed, and `gitopsd logs JOB`; then change the source and apply, or run {heal}",
        ),
        (
            "not-running" in kinds,
            f"read `gitopsd logs JOB` for why it doesn't stay up, and mend that; {heal} starts what was stopped",
        ),
        (True, f"run {heal}, which puts it right"),
    )
    return next(text for applies, text in rules if applies)


def next_attempt(status: WorkerStatus, drift: tuple[Drift, ...]) -> str:
    """What a run of `gitopsd reconcile` does to it by itself, and from when on; empty where there is nothing to do."""
    if status.pause is not None and not status.pause.expired:
        return f"none while {status.pause.owner} has the environment paused: {status.pause.reason}"
    if status.reachable and not status.error and not drift:
        return ""
    tried = status.tried
    number = f", attempt {tried.attempts + 1} of this deployment" if tried is not None else ""
    held = tried is not None and bool(tried.next)
    when = (
        f"a `gitopsd reconcile` from {tried.next} on" if tried is not None and held else "the next `gitopsd reconcile`"
    )
    what = "tries to reach it" if not status.reachable else "tries to put it right"
    return f"{when} {what}{number}{_until_lost(status)}"


def _until_lost(status: WorkerStatus) -> str:
    if status.reachable or not status.lost_after or status.lost is not None:
        return ""
    return f"; it is given up as lost, and its jobs move, when it stays silent for {_length(status.lost_after)}"


def _length(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
