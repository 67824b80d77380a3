"""Unmanaged copies under systemd: a unit file each, which is their owner's to edit."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from . import unitfiles
from .copy_unit import copy_unit
from .durable import make_directory, remove, replace_file, replace_link, sync
from .errors import AgentError
from .services import Unit
from .systemd import SystemdManager, parse_show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .copies import Original
    from .copy_place import CopyPlace
    from .deadline import Deadline

_SHOW_SECONDS = 20
_RELOAD_SECONDS = 60
_PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,MainPID,NRestarts,ActiveEnterTimestampMonotonic,ExecMainStatus"


class SystemdCopies:
    """The CopyService of machines with systemd."""

    def require(self) -> None:
        SystemdManager().require()

    def units(self, copies: Sequence[CopyPlace]) -> dict[str, Unit]:
        done = _run(["systemctl", "show", "--no-pager", "-p", _PROPERTIES, "--", *(place.unit for place in copies)])
        shown = parse_show(done.stdout)
        known = {place.name: shown.get(place.unit, {}) for place in copies}
        return {
            name: _unit(f"gitopsd-copy-{name}.service", properties)
            for name, properties in known.items()
            if properties.get("LoadState", "not-found") != "not-found"
        }

    def install(self, place: CopyPlace, original: Original, deadline: Deadline) -> None:
        text = copy_unit(original.unit, original.job, place, original.parted)
        replace_file(unitfiles.DIRECTORY / place.unit, text)
        sync(unitfiles.DIRECTORY)
        _reload(deadline)

    def start(self, place: CopyPlace, deadline: Deadline) -> None:
        links = unitfiles.wanted_links({place.unit: (unitfiles.DIRECTORY / place.unit).read_bytes()})
        for link in links:
            make_directory(link.parent, 0o755)
            replace_link(link, str(unitfiles.DIRECTORY / place.unit))
            sync(link.parent)
        if links:
            _reload(deadline)
        # a run of a scheduled job isn't waited for; what runs, or why not, is read afterwards
        runs_once = b"\nType=oneshot\n" in (unitfiles.DIRECTORY / place.unit).read_bytes()
        _run(["systemctl", "--no-ask-password", "start", *(["--no-block"] if runs_once else []), place.unit], deadline)

    def remove(self, copies: Sequence[CopyPlace], deadline: Deadline) -> list[str]:
        units = [place.unit for place in copies]
        if not units:
            return []
        _run(["systemctl", "--no-ask-password", "stop", *units], deadline)
        found = self.units(copies)
        alive = [name for name, unit in found.items() if unit.active not in ("inactive", "failed")]
        gone = [place.unit for place in copies if place.name not in alive]
        for unit in gone:
            _forget(unit)
        sync(unitfiles.DIRECTORY)
        _reload(deadline)
        if gone:
            _run(["systemctl", "reset-failed", *gone])
        return sorted(alive)

    def log(self, place: CopyPlace, lines: int) -> list[str]:
        return SystemdManager().log(place.unit, lines)


def _forget(unit: str) -> None:
    """Its file, what overrides it, and the links that start it."""
    for folder in (unitfiles.DIRECTORY, *unitfiles.OVERRIDES):
        remove(folder / f"{unit}.d")
    for link in unitfiles.DIRECTORY.glob(f"*.wants/{unit}"):
        remove(link)
        sync(link.parent)
    remove(unitfiles.DIRECTORY / unit)


def _reload(deadline: Deadline) -> None:
    done = _run(["systemctl", "daemon-reload"], deadline, least=_RELOAD_SECONDS)
    if done.returncode != 0:
        raise AgentError("io", f"`systemctl daemon-reload` exited with {done.returncode}: {done.stderr.strip()}")


def _run(command: list[str], deadline: Deadline | None = None, least: float = 1.0) -> subprocess.CompletedProcess[str]:
    """-1 as the exit code of what did not end in time: systemd goes on with it all the same."""
    seconds = _SHOW_SECONDS if deadline is None else max(least, deadline.remaining())
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, "", f"no answer within {seconds:.0f} s")


def _unit(name: str, shown: Mapping[str, str]) -> Unit:
    since = _number(shown, "ActiveEnterTimestampMonotonic")
    return Unit(
        active=shown.get("ActiveState", "unknown"),
        sub=shown.get("SubState", "unknown"),
        result=shown.get("Result", "success"),
        main_pid=_number(shown, "MainPID"),
        restarts=_number(shown, "NRestarts"),
        since=round(time.time() - (time.monotonic() - since / 1e6), 3) if since else None,
        enabled=any(True for _ in unitfiles.DIRECTORY.glob(f"*.wants/{name}")),
        blob=unitfiles.unit_blob(name),
        invocation="",
        exit_status=_number(shown, "ExecMainStatus"),
    )


def _number(shown: Mapping[str, str], key: str) -> int:
    text = shown.get(key, "")
    return int(text) if text.isdigit() else 0
