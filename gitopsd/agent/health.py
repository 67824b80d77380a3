"""How the jobs of the current release are, once they were started; changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .deadline import Deadline
from .errors import AgentError
from .readback import ended
from .release import load_release
from .run_jobs import LOG_LINES
from .services import NOT_THERE
from .store import current_release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .layout import Layout
    from .release import Job, Release
    from .services import ServiceManager, Unit

_LOOK_SECONDS = 0.25
_ASK_SECONDS = 1.0
_CRASHES = 3  # so often started anew since we started it: it isn't merely waiting for another job to be up
_NOT_READY = "it has not said yet that it is ready"


class Verdict(NamedTuple):
    """`healthy`, `pending` or `failed`, and why; after how many seconds it may be another, as far as is known."""

    state: str
    reason: str = ""
    again: float = _LOOK_SECONDS


HEALTHY = Verdict("healthy")


def health(
    layout: Layout, manager: ServiceManager, release: str, *, min_healthy_time: float, wait: float
) -> tuple[dict[str, Any], Mapping[str, Unit]]:
    """Look until no job is pending, for `wait` seconds at most; the answer, and the units that it is about.

    AgentError `stale` when another release is current.
    """
    deadline = Deadline.after(wait)
    wanted = _require_current(layout, release)
    answered: dict[str, str] = {}
    while True:
        units = manager.units()
        verdicts = {name: judge(job, units, min_healthy_time) for name, job in wanted.jobs.items()}
        _ask(manager, wanted, units, verdicts=verdicts, answered=answered, deadline=deadline)
        pending = [verdict for verdict in verdicts.values() if verdict.state == "pending"]
        if not pending or deadline.passed:
            break
        time.sleep(min(deadline.remaining(), *(max(0.02, verdict.again) for verdict in pending)))
    _require_current(layout, release)
    return _answer(manager, wanted, verdicts), units


def judge(job: Job, units: Mapping[str, Unit], min_healthy_time: float) -> Verdict:
    """By its unit alone; one that has to be asked may be healthy by this and yet not be ready."""
    unit = units.get(job.unit, NOT_THERE)
    if job.kind == "schedule":  # its timer: how a run ends is no matter of the deployment
        return HEALTHY if unit.is_up else Verdict("failed", ended(unit))
    if job.kind == "once":
        return Verdict("failed", ended(unit)) if unit.active == "failed" else HEALTHY
    is_starting = unit.is_up and unit.active == "activating"
    up = float("inf") if unit.since is None else time.time() - unit.since
    rules = (
        (unit.active == "failed", Verdict("failed", ended(unit))),
        (unit.active == "deactivating", Verdict("pending", "the process of before has not ended yet")),
        (is_starting and (unit.result == "success" or unit.restarts < _CRASHES), Verdict("pending", _NOT_READY)),
        (is_starting, Verdict("failed", ended(unit))),
        (unit.is_up and up >= min_healthy_time, HEALTHY),
        (unit.is_up, Verdict("pending", f"it has been up for {max(0.0, up):.1f} s only", min_healthy_time - up)),
        (unit.is_running and unit.restarts < _CRASHES, Verdict("pending", ended(unit))),
        (True, Verdict("failed", ended(unit))),
    )
    return next(verdict for applies, verdict in rules if applies)


def _ask(
    manager: ServiceManager,
    release: Release,
    units: Mapping[str, Unit],
    *,
    verdicts: dict[str, Verdict],
    answered: dict[str, str],
    deadline: Deadline,
) -> None:
    """Of those that run, ask whoever has to be asked and hasn't answered since its start: job -> that start."""
    unknown = {
        release.jobs[name]: units[release.jobs[name].unit].invocation
        for name, verdict in verdicts.items()
        if verdict.state != "failed" and release.jobs[name].ready.is_asked and release.jobs[name].unit in units
    }
    unknown = {job: start for job, start in unknown.items() if answered.get(job.name) != start}
    if not unknown:
        return
    from .ready import wait_until_ready  # noqa: PLC0415 -- most releases ask nobody

    def is_up() -> dict[Job, bool]:
        found = manager.units()
        return {job: found.get(job.unit, NOT_THERE).is_up for job in unknown}

    problems = wait_until_ready(unknown, is_up, Deadline.after(min(_ASK_SECONDS, deadline.remaining())))
    for job, start in unknown.items():
        if job in problems:
            verdicts[job.name] = Verdict("pending", problems[job])
        else:
            answered[job.name] = start


def _require_current(layout: Layout, release: str) -> Release:
    current = current_release(layout)
    if current != release:
        raise AgentError(
            "stale",
            f"this worker holds {'no release' if current is None else f'release {current[:12]}'} by now, "
            f"not {release[:12]} that was asked about",
            release=current,
        )
    return load_release(layout.releases / release)


def _answer(manager: ServiceManager, release: Release, verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    def those(state: str) -> list[str]:
        return [job for job, verdict in verdicts.items() if verdict.state == state]

    return {
        "healthy": those("healthy"),
        "pending": those("pending"),
        "failed": {
            job: {"message": verdicts[job].reason, "log": manager.log(release.jobs[job].unit, LOG_LINES)}
            for job in those("failed")
        },
        "reasons": {job: verdicts[job].reason for job in those("pending")},
    }
