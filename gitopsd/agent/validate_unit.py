"""Checks of jobs' files as systemd runs them: by the job's user and in its sandbox, without anything that it writes to.

Each has a unit of its own in /run for that moment, which systemd reads when it is first asked for: no reload is needed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import run
from .durable import remove
from .manager_bus import restart_units
from .validate import Checked, launch_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .deadline import Deadline
    from .layout import Layout
    from .release import Job, Release

_RUN = Path("/run")
_UNITS = _RUN / "systemd/system"
_PREFIX = "gitopsd-check-"
_LONGEST_OUTPUT = 1024 * 1024
_GRACE_SECONDS = 2.0  # systemd ends what took too long after we gave up: what it says by itself tells no time-out
# what is about a job that stays, or about where it writes to; PrivateTmp is set for all
_NOT_FOR_CHECKS = frozenset({
    "ExecReload", "ExecStart", "ExecStartPre", "KillMode", "NotifyAccess", "PrivateTmp", "ReadWritePaths",
    "RemainAfterExit", "Restart", "RestartSec", "RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve",
    "StateDirectory", "TimeoutStartSec", "TimeoutStopSec", "Type",
})  # fmt: skip


def check_in_units(
    layout: Layout, release: Release, jobs: Sequence[Job], credentials: str | None, patience: Deadline
) -> dict[str, Checked]:
    """All of them side by side, until `patience` ends."""
    for leftover in [*_UNITS.glob(f"{_PREFIX}*"), *_RUN.glob(f"{_PREFIX}*")]:
        remove(leftover)  # of an agent that was killed
    _UNITS.mkdir(exist_ok=True)
    outputs = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_RUN))  # for root alone: what is said may hold secrets
    units = {job: f"{outputs.name}-{number}.service" for number, job in enumerate(jobs)}
    try:
        for job, unit in units.items():
            text = check_unit(layout, release, job, credentials, output=outputs / unit, seconds=patience.remaining())
            (_UNITS / unit).write_text(text, encoding="utf-8")
        results = _start(list(units.values()), patience)
        return {job.name: Checked(results.get(unit), _read(outputs / unit)) for job, unit in units.items()}
    finally:
        for unit in units.values():
            remove(_UNITS / unit)
        remove(outputs)


def check_unit(
    layout: Layout, release: Release, job: Job, credentials: str | None, *, output: Path, seconds: float
) -> str:
    """The unit of one check, made from its job's."""
    section, kept = "", []
    for line in release.units[job.service].decode().splitlines():
        section = line if line.startswith("[") else section
        if section == "[Service]" and "=" in line and line.partition("=")[0] not in _NOT_FOR_CHECKS:
            kept.append(line)
    if credentials is not None:
        current, staged = (f"{layout.root}/credentials/{one}/{job.name}/" for one in ("current", f"sets/{credentials}"))
        kept = [line.replace(current, staged) if line.startswith("LoadCredential=") else line for line in kept]
    return "\n".join([
        "[Unit]",
        f"Description=gitopsd: whether the files of {job.name} are good",
        "CollectMode=inactive-or-failed",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/usr/bin/python3 {' '.join(launch_command(layout, release, job))}",
        *kept,
        "PrivateTmp=yes",
        "Environment=STATE_DIRECTORY=/tmp GITOPSD_RUN=/tmp",
        f"LimitFSIZE={_LONGEST_OUTPUT}",
        "StandardInput=null",
        f"StandardOutput=file:{output}",
        "StandardError=inherit",
        f"TimeoutStartSec={seconds + _GRACE_SECONDS:.0f}s",
        "TimeoutStopSec=1s",
        "",
    ])  # fmt: skip


def _start(units: Sequence[str], patience: Deadline) -> dict[str, bool]:
    """Whether each passed; without those that took too long."""
    try:
        results = restart_units(units, patience.remaining())
    except OSError:
        return {unit: passed for unit in units if (passed := _start_one(unit, patience)) is not None}
    return {unit: result == "done" for unit, result in results.items()}


def _start_one(unit: str, patience: Deadline) -> bool | None:
    try:
        return run(["systemctl", "--no-ask-password", "start", unit], patience.remaining()).code == 0
    except TimeoutError:
        return None


def _read(output: Path) -> str:
    try:
        return output.read_bytes()[:_LONGEST_OUTPUT].decode("utf-8", "replace")
    except FileNotFoundError:
        return "(systemd did not start it: look at its journal)"
