from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .deadline import Deadline
from .decide import RELOAD, RESTART, START
from .durable import remove
from .readback import reload_failure
from .release import job_of_unit
from .services import NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .layout import Layout
    from .progress import Progress
    from .release import Job
    from .services import ServiceManager, Unit

LOG_LINES = 20
# most are up long before; the others go on by themselves, and `health` tells what became of them
_START_SECONDS = 3.0
_SIGNAL_SECONDS = 0.3  # a program that doesn't handle the signal is gone by then, and seen to be


def stop_orphans(manager: ServiceManager, orphans: Sequence[str], progress: Progress, deadline: Deadline) -> list[str]:
    """Stop units that belong to no job any more; returns those whose definitions may go.

    What won't stop keeps its definition, so that the next activation finds it and tries again.
    """
    if not orphans:
        return []
    manager.stop(orphans, deadline)
    units = manager.units()
    alive = [unit for unit in orphans if units.get(unit, NOT_THERE).active not in ("inactive", "failed")]
    for unit in alive:
        progress.fail(job_of_unit(unit) or unit, "it did not stop in time", manager.log(unit, LOG_LINES))
    return [unit for unit in orphans if unit not in alive]


def run_jobs(
    layout: Layout,
    manager: ServiceManager,
    actions: Mapping[Job, str],
    before: Mapping[str, Unit],
    *,
    progress: Progress,
    deadline: Deadline,
) -> dict[str, Unit]:
    """Start, restart and reload what the decision says, all in one go; the units as they are then, ready or not."""
    jobs = [job for job, action in actions.items() if action in (START, RESTART)]
    services = [job.unit for job in jobs if job.is_kept]
    once = [job.unit for job in jobs if job.kind == "once"]
    with progress.timed("units"):
        for job in jobs:
            if job.kind == "once":
                remove(layout.completed(job.name))
        _start(manager, services, once, before, deadline)
    reloaded = [job for job, action in actions.items() if action == RELOAD]
    with progress.timed("units"):
        _reload(manager, reloaded, progress, deadline)
    with progress.timed("read_back"):
        units = manager.units()
    again = _start_limited(services, units)
    if again:
        # our own restarts count towards systemd's limit as well
        with progress.timed("units"):
            _start(manager, again, [], units, deadline)
            units = manager.units()
    for job in reloaded:
        problem = reload_failure(before.get(job.unit, NOT_THERE), units.get(job.unit, NOT_THERE))
        if problem and job.name not in progress.failed:
            progress.fail(job.name, problem, manager.log(job.unit, LOG_LINES))
    return units


def _reload(manager: ServiceManager, jobs: Sequence[Job], progress: Progress, deadline: Deadline) -> None:
    for job in jobs:
        problem = manager.reload(job.unit, deadline)
        if problem:
            progress.fail(job.name, problem, manager.log(job.unit, LOG_LINES))
    if jobs:
        time.sleep(_SIGNAL_SECONDS)


def _start(
    manager: ServiceManager,
    services: Sequence[str],
    once: Sequence[str],
    units: Mapping[str, Unit],
    deadline: Deadline,
) -> None:
    limited = _start_limited([*services, *once], units)
    if limited:
        manager.reset_start_limit(limited)
    if services or once:
        manager.start(services, once, Deadline.after(min(_START_SECONDS, deadline.remaining())))


def _start_limited(names: Sequence[str], units: Mapping[str, Unit]) -> list[str]:
    return [name for name in names if units.get(name, NOT_THERE).result == "start-limit-hit"]
