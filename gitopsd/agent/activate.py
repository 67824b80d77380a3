"""Make a worker hold a release and run its jobs, touching only what differs.

Order is what makes it safe to kill: the release is whole on disk before `current` leads to it, and what a job
runs is forgotten before the job's files, unit or process are touched. A repeat then finds what is left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import credentials, marker, records, store
from .arm import Switch
from .converge import Step, as_json, converge
from .durable import remove
from .errors import AgentError
from .lock import exclusive
from .observe import observe
from .progress import Progress
from .release import load_release
from .scope import leave_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .deadline import Deadline
    from .layout import Layout
    from .manifest import Manifest
    from .records import Owner
    from .release import Release
    from .services import ServiceManager


class Request(NamedTuple):
    """What a controller wants a worker to hold; `sent` are blobs by id, as many as it thought were missing.

    `values` are those of all secrets that the release's jobs ask for; `key` is what the observation's fingerprints of
    them are made with. confirm_timeout: seconds after which all is undone unless somebody confirms, None for never;
    deployment: the number of what is deployed, 0 for none.
    """

    owner: Owner
    manifest: Manifest
    sent: Mapping[str, bytes]
    values: Mapping[str, bytes] = {}
    key: bytes | None = None
    confirm_timeout: float | None = None
    deployment: int = 0

    def __repr__(self) -> str:
        return f"Request(release={self.manifest.release!r})"


def activate(layout: Layout, manager: ServiceManager, request: Request, deadline: Deadline) -> dict[str, Any]:
    """One activation, under the worker's lock; the result is that of the verb, its last part an observation.

    Jobs are started, not waited for until they are ready.
    Raises AgentError `busy`, `owned-by-another`, `stale`, `bad-payload`, `unsupported`, `no-space`, `invalid`; nothing
    that runs was touched by then.
    """
    manager.require()
    if request.confirm_timeout is not None and layout.service_manager != "systemd":
        raise AgentError("unsupported", "there is no switch without systemd: send no confirm_timeout to this worker")
    warning = leave_session(layout)
    layout.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    progress = Progress()
    with exclusive(layout, deadline):
        records.take_over(layout, request.owner, request.deployment)
        with progress.timed("stage"):
            for path in store.half_removed(layout):
                remove(path)
            _stage(layout, request)
            release = load_release(layout.releases / request.manifest.release)
            staged = credentials.stage(layout, release, request.values)
        with progress.timed("validate"):
            _validate(layout, release, staged, request, deadline)
        switch = Switch(layout, request.confirm_timeout, deadline)
        step = _step(layout, release, staged, switch)
        done = converge(layout, manager, step, progress=progress, deadline=deadline)
        with progress.timed("read_back"):
            waiting = marker.read(layout)
            credentials.settle(layout, release, None if waiting is None else waiting.credentials)
            records.clear_activating(layout)
            switch.activated()
            if not progress.failed:
                records.clear_rolled_back(layout)
            # the lock that it sees held is our own
            observation = {**observe(layout, done.units, request.key), "busy": False}
    return {
        **as_json(done, progress),
        "token": switch.token,
        "warnings": [] if warning is None else [warning],
        "observation": observation,
    }


def _step(layout: Layout, release: Release, staged: credentials.Staged | None, switch: Switch) -> Step:
    moves = store.current_release(layout) != release.id

    def arm() -> None:
        switch.arm(release, moves=moves or staged is not None)

    def swap() -> None:
        if moves or staged is not None:
            credentials.swap(layout, staged)
        if moves:
            store.swap(layout, release.id)

    return Step(release, staged.changed if staged is not None else (), arm, swap)


def _validate(
    layout: Layout, release: Release, staged: credentials.Staged | None, request: Request, deadline: Deadline
) -> None:
    """Ask the checkers of all jobs that would run with other files than now; AgentError `invalid`."""
    able = [job for job in release.jobs.values() if job.validates]
    if not able:
        return
    applied = records.read_applied(layout)
    rekeyed = staged.changed if staged is not None else frozenset[str]()
    jobs = [job for job in able if applied.get(job.name) != job.digest or job.name in rekeyed]
    if not jobs:
        return
    from .validate import validate  # noqa: PLC0415 -- most releases have nothing to check

    try:
        name = None if staged is None else staged.name
        validate(layout, release, jobs, credentials=name, values=request.values, deadline=deadline)
    except AgentError:
        credentials.discard(layout, staged)
        raise


def _stage(layout: Layout, request: Request) -> None:
    manifest = request.manifest
    damaged = store.damaged_paths(layout, manifest)
    if damaged is None:
        store.stage(layout, manifest, request.sent)
    elif damaged:
        blobs = store.collect(layout, manifest.entries, request.sent)
        # whatever ran with edited files must run again with the right ones, also if we are killed here
        records.forget_applied(layout, _jobs_that_use(damaged, records.read_applied(layout)))
        store.repair(layout, manifest, damaged, blobs)


def _jobs_that_use(paths: set[str], applied: Mapping[str, str]) -> set[str]:
    """Jobs that may have run with one of these files: their own, or the runtime and libraries that they share."""
    jobs: set[str] = set()
    for path in paths:
        top, *rest = path.split("/")
        if top == "jobs" and rest:
            jobs.add(rest[0])
        elif top in ("jobs", "runtime", "libraries"):
            return set(applied)
    return jobs
