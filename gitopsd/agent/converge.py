"""Make what runs on a worker that of a release, touching only what differs: activating and rolling back come here.

What a job runs is forgotten before the job's files, unit or process are touched. Were we killed, a repeat finds what is
left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import records
from .decide import RECORD, RELOAD, RESTART, START, UNCHANGED, Decision, decide
from .durable import remove
from .errors import AgentError
from .filters import filters_first
from .readback import failure, is_pending, is_recorded
from .release import job_of_unit, load_release
from .run_jobs import LOG_LINES, run_jobs, stop_orphans
from .services import NOT_THERE
from .store import current_release
from .surroundings import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .deadline import Deadline
    from .layout import Layout
    from .progress import Progress
    from .release import Release
    from .services import ServiceManager, Unit


class Step(NamedTuple):
    """The release to run, and how it becomes the one that counts; `rekeyed` are jobs whose secrets change with it.

    `arm` comes before anything that runs is touched, `swap` once nothing is claimed of what will be.
    """

    release: Release
    rekeyed: Collection[str]
    arm: Callable[[], None]
    swap: Callable[[], None]


class Converged(NamedTuple):
    decision: Decision
    orphans: list[str]
    pending: list[str]
    units: Mapping[str, Unit]


def converge(
    layout: Layout, manager: ServiceManager, step: Step, *, progress: Progress, deadline: Deadline
) -> Converged:
    """Under the worker's lock. What went wrong with jobs is in `progress`, the rest is raised."""
    release = step.release
    with progress.timed("units"):
        before = units = manager.units()
        applied = records.read_applied(layout)
        difference = manager.difference(release, before)
        completed = records.completed_jobs(layout)
        reloadable = _reloadable(layout, release, applied)
        decision = decide(release, applied, before, difference, completed, rekeyed=step.rekeyed, reloadable=reloadable)
        unprepared = prepare(layout, release)
    for job, problem in unprepared.items():
        progress.fail(job, problem, [])
    touched = decision.jobs(START, RESTART, RELOAD, RECORD)
    orphans = list(dict.fromkeys(job for job in map(job_of_unit, decision.orphans) if job is not None))
    redefine = bool(decision.orphans) or layout.activating.exists() or not difference.is_empty
    with progress.timed("switch"):
        step.arm()
    if touched or redefine:
        records.mark_activating(layout, release.id)
        records.forget_applied(layout, [*touched, *orphans])
        with progress.timed("units"):
            _end_filters(layout, manager, [*decision.jobs(RESTART), *orphans], before, deadline)
    with progress.timed("swap"):
        step.swap()
    if redefine:
        with progress.timed("units"):
            gone = stop_orphans(manager, decision.orphans, progress, deadline)
            for job in orphans:
                remove(layout.draining(job))  # one of that name that drains later has its own time
        with progress.timed("reload"):
            manager.install(release, gone, deadline)
            progress.daemon_reload = True
    if touched or redefine:
        actions = {job: action for job, action in decision.actions.items() if job not in unprepared}
        jobs = {release.jobs[job]: action for job, action in actions.items()}
        units = run_jobs(layout, manager, jobs, before, progress=progress, deadline=deadline)
    with progress.timed("read_back"):
        result = _read_back(manager, release, decision, before, units, progress=progress)
        if result != records.read_applied(layout):  # by now without those that were touched
            records.write_applied(layout, result)
    pending = [
        name
        for name in decision.jobs(START, RESTART, RELOAD)
        if name not in progress.failed and is_pending(release.jobs[name], units.get(release.jobs[name].unit, NOT_THERE))
    ]
    return Converged(decision, orphans, pending, units)


def _end_filters(
    layout: Layout, manager: ServiceManager, jobs: Collection[str], units: Mapping[str, Unit], deadline: Deadline
) -> None:
    """Filters among the jobs that are to end come to their end while those that they feed still run."""
    running = {job: f"gitopsd-{job}.service" for job in jobs}
    running = {job: unit for job, unit in running.items() if units.get(unit, NOT_THERE).is_running}
    if len(running) < 2:
        return
    for wave in filters_first(layout.current, running):
        manager.stop([running[job] for job in wave], deadline)


def _reloadable(layout: Layout, release: Release, applied: Mapping[str, str]) -> frozenset[str]:
    """Jobs that run as the release that is current still has them, and that this one would start in the same way."""
    changed = {job for job in release.jobs.values() if job.process and applied.get(job.name) not in (None, job.digest)}
    current = current_release(layout)
    if not changed or current is None:
        return frozenset()
    try:
        held = load_release(layout.releases / current).jobs
    except (AgentError, OSError):  # somebody edited it: what was started is not known, and starting anew always does
        return frozenset()
    return frozenset(
        job.name
        for job in changed
        if (was := held.get(job.name)) and (was.digest, was.process) == (applied[job.name], job.process)
    )


def as_json(done: Converged, progress: Progress) -> dict[str, Any]:
    """Job by what was done to it; those that failed are in none of the other lists."""

    def those(*actions: str) -> list[str]:
        return [job for job in done.decision.jobs(*actions) if job not in progress.failed]

    return {
        "started": those(START),
        "restarted": those(RESTART),
        "reloaded": those(RELOAD),
        "stopped": [job for job in done.orphans if job not in progress.failed and job not in done.decision.actions],
        "unchanged": those(UNCHANGED, RECORD),
        "pending": done.pending,
        "failed": progress.failed,
        "daemon_reload": progress.daemon_reload,
        "seconds": progress.seconds,
    }


def _read_back(
    manager: ServiceManager,
    release: Release,
    decision: Decision,
    before: Mapping[str, Unit],
    units: Mapping[str, Unit],
    *,
    progress: Progress,
) -> dict[str, str]:
    """What each job is known to run now, by its digest; why others don't goes to progress."""
    applied: dict[str, str] = {}
    for name, action in decision.actions.items():
        job = release.jobs[name]
        earlier, now = before.get(job.unit, NOT_THERE), units.get(job.unit, NOT_THERE)
        if action in (START, RESTART) and name not in progress.failed:
            problem = failure(job, earlier, now)
            if problem:
                progress.fail(name, problem, manager.log(job.unit, LOG_LINES))
            if is_recorded(job, earlier, now):
                applied[name] = job.digest
        elif name not in progress.failed or action == UNCHANGED:
            applied[name] = job.digest
    return applied
