"""Whether jobs are ready where no service manager is told: under supervisor, by what the runner reports.

A program of the job's own has nobody to tell there; it counts as ready once it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .traffic import read_report

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

# runners that say when they are ready have it; those of earlier releases report other things, if anything
_SAYING_IT = "runtime/runner/gitopsd/runner/waiting.py"


def is_ready(layout: Layout, job: str, pid: int) -> bool:
    """Whether the process that runs the job of the current release has said that it is ready, or never would."""
    return _has_said_so(layout, job, pid) or not _would_say_so(layout.current, job)


def _has_said_so(layout: Layout, job: str, pid: int) -> bool:
    found = read_report(f"{layout.run}/s/{job}.json")
    if found is None or not isinstance(found.said, dict):
        return False
    return found.said.get("pid") == pid and found.said.get("ready") is True


def _would_say_so(release: Path, job: str) -> bool:
    """Whether the runner is the job's process, is to say when it is ready, and is one that does."""
    try:
        description = _read(release / "jobs" / job / "job.json")
        kind = description["kind"]
        if kind != "message" and not (kind == "service" and "runner" in description):
            return False
        notifies = _read(release / "release.json")["jobs"][job]["ready"]["kind"] == "notify"
    except (KeyError, TypeError):  # somebody edited it: that is told elsewhere
        return False
    return notifies and (release / _SAYING_IT).is_file()


def _read(path: Path) -> Any:
    """None where somebody put something there that is no such file, a pipe for one."""
    found = read_report(str(path))
    return None if found is None else found.said
