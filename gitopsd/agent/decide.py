"""What to do with each job of a release, given what is known of it. Pure; the first rule that fits wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .release import job_of_unit
from .services import NOT_THERE, Difference, Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .release import Job, Release

START, RESTART, RELOAD, RECORD, UNCHANGED = "start", "restart", "reload", "record", "unchanged"


class Decision(NamedTuple):
    """Jobs by what happens to them, and the units that belong to no job of the release."""

    actions: Mapping[str, str]
    orphans: tuple[str, ...]

    def jobs(self, *actions: str) -> list[str]:
        return [job for job, action in self.actions.items() if action in actions]


def decide(
    release: Release,
    applied: Mapping[str, str],
    units: Mapping[str, Unit],
    difference: Difference,
    completed: Collection[str],
    *,
    rekeyed: Collection[str] = (),
    reloadable: Collection[str] = (),
) -> Decision:
    """`rekeyed` are the jobs whose secrets have other values now than those that they were started with.

    `reloadable` are those that were started as the release would start them: only files that they read differ.
    """
    actions = {
        job.name: _action(
            job,
            units.get(job.unit, NOT_THERE),
            changed=applied.get(job.name) != job.digest,
            differs=job.unit in difference.content,
            completed=job.name in completed,
            # a job of which nothing is known may have been left between its new values and its restart
            rekeyed=job.name in rekeyed or (bool(job.secrets) and job.name not in applied),
            reloads=job.on_change == "reload" and job.name in reloadable,
        )
        for job in release.jobs.values()
    }
    wanted = {job.unit for job in release.jobs.values()} | release.units.keys()
    orphans = {unit for unit in units if unit not in wanted and job_of_unit(unit) is not None}
    return Decision(actions, tuple(sorted(orphans | _of_another_kind(release, units))))


def _of_another_kind(release: Release, units: Mapping[str, Unit]) -> set[str]:
    """Services that were kept running until now and are to be started by a timer: it would find them running for ever.

    A run that is under way has its timer beside it.
    """
    scheduled = [job for job in release.jobs.values() if job.kind == "schedule" and job.unit not in units]
    return {job.service for job in scheduled if units.get(job.service, NOT_THERE).is_running}


def _action(
    job: Job, unit: Unit, *, changed: bool, differs: bool, completed: bool, rekeyed: bool, reloads: bool
) -> str:
    rules: tuple[tuple[bool, str], ...]
    if job.kind == "once":
        rules = (
            (changed and unit.is_running, RESTART),
            (changed, START),
            (rekeyed and unit.is_running and not completed, RESTART),
            (completed or unit.is_running, UNCHANGED),
            (True, START),
        )
    elif job.kind == "schedule":
        rules = (
            (not unit.is_running, START),
            (differs, RESTART),
            # a run that is under way ends as it began, and the next one takes what is there by then
            (changed, RECORD),
            (True, UNCHANGED),
        )
    else:
        rules = (
            (not unit.is_running, START),
            (unit.sub == "exited", RESTART),  # it had drained here, and is back
            (changed and job.on_change == "none", RECORD),
            ((differs or rekeyed) and job.on_change == "none", UNCHANGED),
            # a reload reads the job's files anew, not its unit's settings nor what systemd gave it at its start
            (changed and reloads and not differs and not rekeyed, RELOAD),
            (changed or differs or rekeyed, RESTART),
            (True, UNCHANGED),
        )
    return next(action for applies, action in rules if applies)
