"""What runs on a worker, job by job, as it was observed."""

from msgspec import Struct

from gitopsd.daemon.status.status import Observed
from gitopsd.model.facts import JobTraffic, UnitState


class Workload(Struct, frozen=True, kw_only=True):
    """A job as observed on its worker; times are seconds since the epoch by the worker's clock.

    `next_run` and `last_run` are those of a scheduled job, and `state` what became of its last run: `waiting` where
    that went well, or there was none yet. `traffic` is None for a job that says nothing of its events.
    """

    worker: str
    job: str
    state: str
    main_pid: int
    restarts: int
    since: float | None
    current: bool
    next_run: float | None = None
    last_run: float | None = None
    traffic: JobTraffic | None = None


def workloads(observed: Observed) -> list[Workload]:
    """The jobs of one worker's release, and what else runs there under gitopsd's name."""
    jobs = observed.desired.record.jobs
    if observed.observation is None:
        return [_unseen(observed, name, "unknown") for name in sorted(jobs)]
    by_unit = {job.unit: name for name, job in jobs.items()}
    seen = observed.observation
    found = []
    for unit, state in seen.units.items():
        name = by_unit.get(unit, unit.removeprefix("gitopsd-").rsplit(".", 1)[0])
        if unit.endswith(".timer") and f"gitopsd-{name}.service" in seen.units:
            continue  # told with the job that it starts
        timer = seen.units.get(f"gitopsd-{name}.timer")
        digest = jobs[name].digest if name in jobs else ""
        found.append(
            Workload(
                worker=observed.desired.worker,
                job=name,
                state=_word(
                    state,
                    timer,
                    # a service may have drained before it came back
                    completed=name in seen.completed and (name not in jobs or jobs[name].kind == "once"),
                    drains=name in jobs and jobs[name].draining is not None,
                ),
                main_pid=state.main_pid,
                restarts=state.restarts,
                since=state.since,
                current=bool(digest) and seen.applied.get(name) == digest,
                next_run=timer.next_run if timer else None,
                last_run=timer.last_run if timer else None,
                traffic=seen.traffic.get(name),
            )
        )
    missing = [_unseen(observed, name, "missing") for name, job in jobs.items() if job.unit not in seen.units]
    return sorted([*found, *missing], key=lambda workload: workload.job)


def _word(unit: UnitState, timer: UnitState | None, *, completed: bool, drains: bool) -> str:
    """The state of a job, in a word."""
    rules = (
        (drains and completed, "drained"),
        (drains and unit.active in {"active", "activating", "deactivating"}, "draining"),
        (completed, "completed"),
        (unit.active == "active" or (timer is not None and unit.active == "activating"), "running"),
        (unit.active == "inactive" and timer is not None and timer.active == "active", "waiting"),
        (True, unit.active),
    )
    return next(word for applies, word in rules if applies)


def _unseen(observed: Observed, job: str, state: str) -> Workload:
    return Workload(
        worker=observed.desired.worker, job=job, state=state, main_pid=0, restarts=0, since=None, current=False
    )
