"""Whether a job that was started is up, judged by its unit before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .release import Job
    from .services import Unit

# systemd.service(5) and systemd.exec(5): results and exit codes that people have to act on differently
_RESULTS = {
    "start-limit-hit": "it was started too often in a short time and given up",
    "timeout": "it did not say that it is ready within its unit's TimeoutStartSec",
    "protocol": "it ended before it said that it is ready",
    "oom-kill": "it ran out of memory",
    "watchdog": "it stopped answering its watchdog",
    "resources": "the worker could not run it for lack of resources, or for its unit's settings",
    "signal": "it was killed by a signal",
    "core-dump": "it crashed",
}
_EXITS = {
    200: "its working directory can't be entered",
    203: "its program can't be executed",
    216: "its group does not exist",
    217: "its user does not exist",
    226: "its name space can't be set up: do the directories that its unit names exist?",
}


def failure(job: Job, before: Unit, now: Unit) -> str | None:
    """Why a (re)started job is certainly not up; None when it is, or may still come up."""
    if now.active == "failed":
        # one of kind once isn't waited for: what failed earlier may still be shown
        return ended(now) if job.is_kept or now.invocation != before.invocation else None
    if not job.is_kept or is_coming(now):
        return None
    if not now.is_up:
        return ended(now)
    if now.invocation == before.invocation:
        return "it was not started anew: the service manager refused, see its log"
    return None


def is_coming(now: Unit) -> bool:
    """Being started, or still to end what ran before."""
    return now.active == "deactivating" or (now.active == "activating" and now.is_up)


def is_pending(job: Job, now: Unit) -> bool:
    """Whether a service that was touched and has not failed isn't known to be ready either."""
    return job.is_kept and (job.ready.is_asked or is_coming(now))


def reload_failure(before: Unit, now: Unit) -> str | None:
    """Why a job that was told to reload doesn't count as reloaded: it must be the process that it was."""
    if now.is_up and now.main_pid == before.main_pid:
        return None
    return (
        "it ended when it was told to reload (SIGHUP): its program must handle that signal, or its blueprint say "
        "`on_change: restart`"
    )


def is_recorded(job: Job, before: Unit, now: Unit) -> bool:
    """Whether what runs now was started by us with the release that is current: only that is remembered.

    Of one that still ends what ran before we know as much: what is started after that is of this release.
    """
    if not job.is_kept:
        return now.active != "failed"
    return now.active == "deactivating" or (now.is_up and now.invocation != before.invocation)


def ended(unit: Unit) -> str:
    """How a unit that isn't up came to be so."""
    if unit.exit_status in _EXITS and unit.result == "exit-code":
        return f"{_EXITS[unit.exit_status]} (exit code {unit.exit_status})"
    if unit.result == "exit-code" and unit.exit_status == 0:
        return "it ended soon after it was started"  # all that supervisor tells
    if unit.result == "exit-code":
        return f"it ended with exit code {unit.exit_status}"
    return _RESULTS.get(unit.result, f"it is not running ({unit.active}, {unit.sub}, {unit.result})")
