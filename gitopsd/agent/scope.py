"""Outside of the SSH session: nothing that an activation does to sshd, or to the session, ends the agent."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .switch_units import SERVICE

if TYPE_CHECKING:
    from .layout import Layout

_PREFIX = "gitopsd-agent-"
_MOVE_SECONDS = 2.0
_POLL_SECONDS = 0.001


def leave_session(layout: Layout) -> str | None:
    """Move this process into a transient scope of systemd's, unless it is in one; why that failed, None otherwise.

    A failure is no reason to stop: were the agent ended midway, the switch would undo what it began.
    """
    if layout.service_manager != "systemd" or _is_outside():
        return None
    from .manager_bus import start_scope  # noqa: PLC0415 -- hardly anything else needs it

    try:
        start_scope(f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}.scope", "gitopsd: an agent at work", os.getpid())
    except OSError as error:
        return _say(str(error))
    end = time.monotonic() + _MOVE_SECONDS
    while not _is_outside():
        if time.monotonic() >= end:
            return _say(f"systemd did not move it within {_MOVE_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    return None


def _is_outside() -> bool:
    """Whether this process is in a scope of its own already, or run by the switch."""
    groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    names = {group.rpartition("/")[2] for group in groups}
    return SERVICE in names or any(name.startswith(_PREFIX) and name.endswith(".scope") for name in names)


def _say(reason: str) -> str:
    warning = f"the agent stayed inside the SSH session, which may end it: {reason}"
    print(warning, file=sys.stderr)
    return warning
