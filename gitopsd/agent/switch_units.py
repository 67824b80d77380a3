"""The units that undo what nobody confirmed. Their text is the same for every release, unless its `confirm_timeout` is
another: systemd reads it once.

The timer fires some seconds after an activation was armed: by then most are confirmed, and nothing is run at all. It
is enabled, and so fires after each boot too. However the service ends, it is started anew as long as there is a marker.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from .commands import run
from .durable import make_directory, remove, replace_file, replace_link, sync
from .errors import AgentError
from .layout import PROTOCOL
from .marker import now
from .unitfiles import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

SERVICE, TIMER = "gitopsd-switch.service", "gitopsd-switch.timer"
LINK = "switch.py"
_WANTED_BY = DIRECTORY / "timers.target.wants" / TIMER
_MOST_PATIENCE = 10
_SECONDS = 30.0


def patience(confirm_timeout: float) -> int:
    """Seconds until systemd looks for a marker: of many workers the last is confirmed by then, if all goes well."""
    return max(1, min(_MOST_PATIENCE, int(confirm_timeout / 3)))


def start(layout: Layout, seconds: int) -> float:
    """Have systemd look for a marker in so many seconds; when that began, by `marker.now`.

    AgentError `io` when it can't be made to.
    """
    _point(layout)
    known = _install(layout, seconds)
    began = now()
    if known and _restart_timer():
        return began
    problem = _systemctl("daemon-reload")
    began = now()
    problem = problem or _systemctl("restart", TIMER)
    if problem:
        raise AgentError("io", f"the dead man's switch can't be armed, so nothing was changed: {problem}")
    return began


def remove_all(layout: Layout) -> None:
    """Before the marker's directory goes; the caller has systemd read its units anew."""
    units = [path for path in (DIRECTORY / TIMER, DIRECTORY / SERVICE) if path.exists()]
    if units:
        _systemctl("stop", *(path.name for path in units))
    for path in (_WANTED_BY, *units):
        remove(path)
    remove(layout.agents / LINK)
    sync(DIRECTORY)


def agent_in_use(layout: Layout) -> str | None:
    """The name of the agent that the switch would run; None before it was armed for the first time."""
    try:
        return os.path.basename(os.readlink(layout.agents / LINK))  # noqa: PTH115, PTH119 -- a name, not a place
    except OSError:
        return None


def _point(layout: Layout) -> None:
    """Have the switch run this very agent."""
    script = os.path.realpath(sys.argv[0])
    target = os.path.basename(script) if os.path.dirname(script) == str(layout.agents) else script  # noqa: PTH119, PTH120
    link = layout.agents / LINK
    if not link.is_symlink() or os.readlink(link) != target:  # noqa: PTH115
        make_directory(layout.agents, 0o755)
        replace_link(link, target)
        sync(layout.agents)


def _install(layout: Layout, seconds: int) -> bool:
    """Make the units what they should be; whether systemd can be started on them without reading anew."""
    known = True
    for path, text in _units(layout, seconds).items():
        found = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        if found != text:
            known = False
            remove(path)
            replace_file(path, text)
    link = str(DIRECTORY / TIMER)
    if not _WANTED_BY.is_symlink() or os.readlink(_WANTED_BY) != link:  # noqa: PTH115
        make_directory(_WANTED_BY.parent, 0o755)
        replace_link(_WANTED_BY, link)
        sync(_WANTED_BY.parent)
        known = False
    if not known:
        sync(DIRECTORY)
    return known


def _restart_timer() -> bool:
    from .manager_bus import restart_units  # noqa: PLC0415 -- not after a daemon-reload

    try:
        return restart_units([TIMER]) == {TIMER: "done"}
    except OSError:
        return False  # systemctl gets to know why


def _units(layout: Layout, seconds: int) -> dict[Path, bytes]:
    request = {
        "protocol": PROTOCOL,
        "layout": {"root": str(layout.root), "run": str(layout.run), "service_manager": layout.service_manager},
    }
    service = f"""\
[Unit]
Description=gitopsd: undo the deployment that nobody has confirmed
ConditionPathExists=|{_text(layout.armed)}
ConditionPathExists=|{_text(layout.rolling_back)}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/bin/python3 -IB {_text(layout.agents / LINK)} switch
StandardInput=data
StandardInputText={_text(json.dumps(request))}
Restart=always
RestartSec=2s
"""
    timer = f"""\
[Unit]
Description=gitopsd: look after a deployment until it is confirmed
StartLimitIntervalSec=0

[Timer]
OnActiveSec={seconds}s
AccuracySec=100ms

[Install]
WantedBy=timers.target
"""
    return {DIRECTORY / SERVICE: service.encode(), DIRECTORY / TIMER: timer.encode()}


def _text(value: object) -> str:
    """As a unit file has it: systemd.unit(5), specifiers and escapes."""
    return str(value).replace("\\", "\\\\").replace("%", "%%")


def _systemctl(*arguments: str) -> str | None:
    """Why it failed; None when it didn't."""
    command = ["systemctl", "--no-ask-password", *arguments]
    try:
        done = run(command, _SECONDS)
    except OSError as error:
        return f"`{' '.join(command)}`: {error}"
    return None if done.code == 0 else f"`{' '.join(command)}` exited with {done.code}: {done.stderr}"
