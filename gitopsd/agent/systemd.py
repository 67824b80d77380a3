"""The service manager of workers: systemd, over its own socket, or through systemctl in as few calls as will do."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import manager_bus, unitfiles
from .bus_show import shown_services
from .commands import run
from .durable import remove
from .errors import AgentError
from .release import job_of_unit
from .services import Difference, Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from .deadline import Deadline
    from .kept import ShownCache
    from .release import Release

_RUNTIME = Path("/run/systemd/system")  # sd_booted(3): exists exactly where systemd is the init
_MOMENT = re.compile(r"[A-Za-z]{3} ([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) UTC")
_SHOW_SECONDS = 20
_RELOAD_SECONDS = 60
PATTERNS = ("gitopsd-*.service", "gitopsd-*.timer", "gitopsd-*.path")
_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Job",
    "Result",
    "MainPID",
    "NRestarts",
    "ActiveEnterTimestampMonotonic",
    "InvocationID",
    "ExecMainStatus",
    "NeedDaemonReload",
    "DropInPaths",
    "NextElapseUSecRealtime",
    "LastTriggerUSec",
)
TIMERS = Path("/var/lib/systemd/timers")  # systemd.timer(5): when each persistent timer ran its unit


class SystemdManager:
    def __init__(self, shown: ShownCache | None = None) -> None:
        self._shown = shown

    def require(self) -> None:
        if os.geteuid() != 0:
            raise AgentError(
                "not-root", "the agent must run as root here: connect as root, or as a user who may `sudo -n`"
            )
        if not _RUNTIME.is_dir():
            raise AgentError("no-systemd", "systemd is not the init of this machine: it can't be a worker")

    def units(self) -> dict[str, Unit]:
        on_disk = unitfiles.units_on_disk()
        found = _show(on_disk) if self._shown is None else self._shown.show(on_disk, _show)
        return {
            name: _parse_unit(name, shown)
            for name, shown in sorted(found.items())
            if job_of_unit(name) is not None
            and (name in on_disk or shown.get("LoadState") != "not-found" or shown.get("ActiveState") != "inactive")
        }

    def difference(self, release: Release, units: Mapping[str, Unit]) -> Difference:
        return Difference(
            content=frozenset(unitfiles.differing(release.units)),
            enablement=unitfiles.differing_links(release.units),
            unread=any(unit.stale for name, unit in units.items() if name in release.units),
        )

    def stop(self, units: Sequence[str], deadline: Deadline) -> None:
        self._shown = None  # whatever happens to units from here on: what is remembered will not be what is
        if units:
            _systemctl(["stop", *units], deadline.remaining())

    def install(self, release: Release, gone: Sequence[str], deadline: Deadline) -> None:
        self._shown = None
        self._forget_runs(unitfiles.differing(release.units), deadline)
        unitfiles.install(release.units, gone)
        _reload_systemd(max(_RELOAD_SECONDS, deadline.remaining()))
        if gone:
            # a failed unit without a file would be listed for ever
            self.reset_start_limit(gone)
            _remove_stamps(gone)

    def _forget_runs(self, units: Collection[str], deadline: Deadline) -> None:
        """Stop timers that change: what the new calendar would have run by now is not made up for."""
        timers = sorted(unit for unit in units if unit.endswith(".timer"))
        if timers:
            self.stop(sorted(set(timers).intersection(unitfiles.units_on_disk())), deadline)
            _remove_stamps(timers)

    def reset_start_limit(self, units: Sequence[str]) -> None:
        _systemctl(["reset-failed", *units], _SHOW_SECONDS)

    def start(self, services: Sequence[str], once: Sequence[str], deadline: Deadline) -> None:
        self._shown = None
        if once:
            _restart(once, 0.0)
        if services:
            _restart(services, deadline.remaining())

    def reload(self, unit: str, deadline: Deadline) -> str | None:
        self._shown = None
        code, complaint = _systemctl(["reload", unit], deadline.remaining())
        return None if code == 0 else f"`systemctl reload {unit}` exited with {code}: {complaint}"

    def log(self, unit: str, lines: int) -> list[str]:
        try:
            return run(_journal(unit, lines), _SHOW_SECONDS).stdout.splitlines()
        except OSError:
            return ["(journalctl gave no answer)"]

    def follow_command(self, unit: str, lines: int) -> list[str]:
        return [*_journal(unit, lines), "--follow"]

    def remove_all(self, deadline: Deadline) -> list[str]:
        units = sorted(unit for unit in self.units() if job_of_unit(unit) is not None)
        links = {link.name for link in unitfiles.links_on_disk()}
        gone = sorted({*units, *links})
        if gone:
            self.stop(units, deadline)
            unitfiles.install({}, gone)
            _systemctl(["daemon-reload"], max(_RELOAD_SECONDS, deadline.remaining()))
            self.reset_start_limit(gone)
            _remove_stamps(gone)
        return units


def _remove_stamps(units: Iterable[str]) -> None:
    for unit in units:
        if unit.endswith(".timer"):
            remove(TIMERS / f"stamp-{unit}")


def parse_show(text: str) -> dict[str, dict[str, str]]:
    """Parse blocks of `systemctl show`, Id among the properties: unit -> property -> value; others are skipped."""
    units: dict[str, dict[str, str]] = {}
    for block in text.split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines() if "=" in line)
        shown = {key: value for key, _, value in pairs}
        if shown.get("Id"):
            units[shown["Id"]] = shown
    return units


def _journal(unit: str, lines: int) -> list[str]:
    return ["journalctl", "-u", unit, "-n", str(lines), "-o", "cat", "--no-pager", "-q"]


def _show(units: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    found = shown_services(units, PATTERNS)
    return {name: _begun(shown) for name, shown in (_show_slowly(units) if found is None else found).items()}


def _begun(shown: Mapping[str, str]) -> Mapping[str, str]:
    """A unit that is inactive with a job in systemd's queue is about to start: between the halves of a restart, say."""
    if shown.get("ActiveState") != "inactive" or _number(shown.get("Job")) == 0:
        return shown
    return {**shown, "ActiveState": "activating", "SubState": "queued"}


def _show_slowly(units: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    # the patterns find what is loaded, file or no file
    command = ["systemctl", "show", "--no-pager", "-p", ",".join(_PROPERTIES), "--", *units, *PATTERNS]
    times = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    try:
        done = run(command, _SHOW_SECONDS, times)
    except FileNotFoundError:
        raise AgentError("no-systemd", "systemctl is not installed here: it can't be a worker") from None
    except TimeoutError:
        raise AgentError("io", f"`systemctl show` gave no answer within {_SHOW_SECONDS} s: look at systemd") from None
    if done.code != 0 and not done.stdout:
        raise AgentError("io", f"`systemctl show` exited with {done.code}: {done.stderr.strip()}")
    return parse_show(done.stdout)


def _restart(units: Sequence[str], seconds: float) -> None:
    """What became of them their states tell; seconds: 0 to wait for nothing but that systemd knows of it."""
    try:
        manager_bus.restart_units(units, seconds)
    except OSError:
        _systemctl(["restart", *([] if seconds else ["--no-block"]), *units], seconds)


def _reload_systemd(seconds: float) -> None:
    try:
        manager_bus.reload(seconds)
    except OSError:  # systemctl gets to know why
        code, complaint = _systemctl(["daemon-reload"], seconds)
        if code != 0:
            raise AgentError("io", f"`systemctl daemon-reload` exited with {code}: {complaint}") from None


def _systemctl(arguments: list[str], seconds: float) -> tuple[int, str]:
    """Exit code and last words; -1 when it did not end in time (what it asked systemd for goes on all the same)."""
    try:
        done = run(["systemctl", "--no-ask-password", *arguments], max(seconds, 1.0))
    except TimeoutError as error:
        return -1, str(error)
    return done.code, done.stderr.strip()


def _parse_unit(name: str, shown: Mapping[str, str]) -> Unit:
    return Unit(
        active=shown.get("ActiveState", "unknown"),
        sub=shown.get("SubState", "unknown"),
        result=shown.get("Result", "success"),
        main_pid=_number(shown.get("MainPID")),
        restarts=_number(shown.get("NRestarts")),
        since=_wall_clock(_number(shown.get("ActiveEnterTimestampMonotonic"))),
        enabled=unitfiles.is_enabled(name),
        blob=unitfiles.unit_blob(name),
        invocation=shown.get("InvocationID", ""),
        exit_status=_number(shown.get("ExecMainStatus")),
        drop_ins=_drop_ins(name, shown),
        stale=shown.get("NeedDaemonReload") == "yes",
        next_run=_moment(shown.get("NextElapseUSecRealtime")),
        last_run=_moment(shown.get("LastTriggerUSec")),
    )


def _drop_ins(name: str, shown: Mapping[str, str]) -> tuple[str, ...]:
    loaded = {path for path in shown.get("DropInPaths", "").split() if f"/{name}.d/" in path}
    return tuple(sorted(loaded.union(unitfiles.drop_ins(name))))


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch of `Mon 2026-11-23 02:00:00 UTC`; None for what is no such time, as of other units."""
    found = _MOMENT.fullmatch(text or "")
    if found is None:
        return None
    from datetime import datetime, timezone  # noqa: PLC0415 -- only where there are timers

    year, month, day, hour, minute, second = map(int, found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _wall_clock(microseconds: int) -> float | None:
    if microseconds == 0:
        return None
    return round(time.time() - (time.monotonic() - microseconds / 1e6), 3)
