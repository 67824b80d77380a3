"""Make a worker hold a release and run its jobs, touching only what differs.

Order is what makes it safe to kill: the release is whole on disk before `current` leads to it, and what a job
runs is forgotten before the job's files, unit or process are touched. A repeat then finds what is left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import credentials, records, store
from .decide import RECORD, RELOAD, RESTART, START, UNCHANGED, Decision, decide
from .lock import exclusive
from .observe import observe
from .progress import Progress
from .readback import failure, is_recorded
from .release import job_of_unit, load_release
from .run_jobs import LOG_LINES, run_jobs, stop_orphans
from .services import NOT_THERE
from .surroundings import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .deadline import Deadline
    from .layout import Layout
    from .manifest import Manifest
    from .records import Owner
    from .release import Release
    from .services import ServiceManager, Unit


class Request(NamedTuple):
    """What a controller wants a worker to hold; `sent` are blobs by id, as many as it thought were missing.

    `values` are those of all secrets that the release's jobs ask for; `key` is what the observation's fingerprints of
    them are made with.
    """

    owner: Owner
    manifest: Manifest
    sent: Mapping[str, bytes]
    values: Mapping[str, bytes] = {}
    key: bytes | None = None

    def __repr__(self) -> str:
        return f"Request(release={self.manifest.release!r})"


def activate(layout: Layout, manager: ServiceManager, request: Request, deadline: Deadline) -> dict[str, Any]:
    """One activation, under the worker's lock; the result is that of the verb, its last part an observation.

    Raises AgentError `busy`, `owned-by-another`, `bad-payload`, `unsupported`, `no-space`; nothing that runs was
    touched by then.
    """
    manager.require()
    layout.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    progress = Progress()
    with exclusive(layout, deadline):
        if records.require_owner(layout, request.owner.root_commit) != request.owner:
            records.write_owner(layout, request.owner)
        with progress.timed("stage"):
            _stage(layout, request)
            release = load_release(layout.releases / request.manifest.release)
            staged = credentials.stage(layout, release, request.values)
        return _converge(layout, manager, release, staged, progress=progress, deadline=deadline, key=request.key)


def _stage(layout: Layout, request: Request) -> None:
    manifest = request.manifest
    damaged = store.damaged_paths(layout, manifest)
    if damaged is None:
        store.stage(layout, manifest, store.collect(layout, manifest, request.sent))
    elif damaged:
        blobs = store.collect(layout, manifest, request.sent)
        # whatever ran with edited files must run again with the right ones, also if we are killed here
        records.forget_applied(layout, _jobs_that_use(damaged, records.read_applied(layout)))
        store.repair(layout, manifest, damaged, blobs)


def _converge(
    layout: Layout,
    manager: ServiceManager,
    release: Release,
    staged: credentials.Staged | None,
    *,
    progress: Progress,
    deadline: Deadline,
    key: bytes | None,
) -> dict[str, Any]:
    with progress.timed("units"):
        before = units = manager.units()
        applied = records.read_applied(layout)
        difference = manager.difference(release, before)
        rekeyed = staged.changed if staged is not None else ()
        decision = decide(release, applied, before, difference, records.completed_jobs(layout), rekeyed=rekeyed)
        unprepared = prepare(layout, release)
    for job, problem in unprepared.items():
        progress.fail(job, problem, [])
    touched = decision.jobs(START, RESTART, RELOAD, RECORD)
    orphans = list(dict.fromkeys(job for job in map(job_of_unit, decision.orphans) if job is not None))
    redefine = bool(decision.orphans) or layout.activating.exists() or not difference.is_empty
    if touched or redefine:
        records.mark_activating(layout, release.id)
        records.forget_applied(layout, [*touched, *orphans])
    with progress.timed("swap"):
        moves = store.current_release(layout) != release.id
        if moves or staged is not None:
            credentials.swap(layout, staged)
        if moves:
            store.swap(layout, release.id)
    if redefine:
        with progress.timed("units"):
            gone = stop_orphans(manager, decision.orphans, progress, deadline)
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
        credentials.settle(layout, release)
        records.clear_activating(layout)
        # the lock that it sees held is our own
        observation = {**observe(layout, units, key), "busy": False}
    return _answer(decision, orphans, progress, observation)


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


def _answer(decision: Decision, orphans: list[str], progress: Progress, observation: dict[str, Any]) -> dict[str, Any]:
    def done(*actions: str) -> list[str]:
        return [job for job in decision.jobs(*actions) if job not in progress.failed]

    return {
        "started": done(START),
        "restarted": done(RESTART),
        "reloaded": done(RELOAD),
        "stopped": [job for job in orphans if job not in progress.failed and job not in decision.actions],
        "unchanged": done(UNCHANGED, RECORD),
        "failed": progress.failed,
        "daemon_reload": progress.daemon_reload,
        "seconds": progress.seconds,
        "observation": observation,
    }


def _jobs_that_use(paths: set[str], applied: Mapping[str, str]) -> set[str]:
    """Jobs that may have run with one of these files: their own, or the runtime that all share."""
    jobs: set[str] = set()
    for path in paths:
        top, *rest = path.split("/")
        if top == "jobs" and rest:
            jobs.add(rest[0])
        elif top in ("jobs", "runtime"):
            return set(applied)
    return jobs
