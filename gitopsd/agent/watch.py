"""What the switch's unit runs: wait for the confirmation until the true deadline, then undo."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from . import marker
from .arm import process_started
from .deadline import Deadline
from .errors import AgentError, from_os_error
from .lock import is_held

if TYPE_CHECKING:
    from .layout import Layout
    from .services import ServiceManager

_LOOK_SECONDS = 0.5
_ROLL_BACK_SECONDS = 300.0
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 60.0


def watch(layout: Layout, manager: ServiceManager) -> dict[str, Any]:
    """Ends once nothing waits to be confirmed or undone any more, and not before: it is tried again for ever.

    What goes wrong is printed, for the journal.
    """
    gc.enable()
    retry = _FIRST_RETRY_SECONDS
    patience = Patience(layout)
    while True:
        found = marker.read(layout)
        if found is None:
            return {"rolled_back": None}
        left = patience.seconds_left(found)
        if left > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            continue
        problem = _try(layout, manager, found)
        if problem is not None:
            print(f"could not undo release {found.release}, trying again in {retry:.0f} s: {problem}", flush=True)
            time.sleep(retry)
            retry = min(2 * retry, _LAST_RETRY_SECONDS)


class Patience:
    """How long an activation is still waited for. What the disk won't take of it is kept in mind."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._due: dict[str, float] = {}

    def seconds_left(self, found: marker.Marker) -> float:
        """0 once it is to be undone."""
        if found.phase == marker.ROLLING_BACK:
            return 0.0
        due = self._due.get(found.token, found.due)
        if found.boot != marker.boot_id() and found.token not in self._due:
            due = None  # by the clock of another boot: the machine is given all of the time once more
        elif due is None and is_held(self._layout):
            return self._still_activating(found)
        if due is None:
            due = self._begin(found)
        return min(max(0.0, due - marker.now()), found.confirm_timeout)

    def _still_activating(self, found: marker.Marker) -> float:
        if marker.now() < found.limit:
            return _LOOK_SECONDS
        pid, started = found.process
        if process_started(pid) == started:
            print(f"the agent of process {pid} has not ended in time: it is killed", flush=True)
            os.kill(pid, signal.SIGKILL)
        return _LOOK_SECONDS

    def _begin(self, seen: marker.Marker) -> float:
        """It ended without saying so, or before the machine went down."""
        due = marker.now() + seen.confirm_timeout
        self._due[seen.token] = due
        try:
            with marker.guarded(self._layout):
                found = marker.read(self._layout)
                if found == seen:
                    marker.replace(self._layout, seen._replace(boot=marker.boot_id(), due=due))
        except OSError as error:
            print(f"{from_os_error(error).message} (the deadline is kept in mind)", file=sys.stderr)
        return due


def _try(layout: Layout, manager: ServiceManager, found: marker.Marker) -> str | None:
    from .rollback import roll_back  # noqa: PLC0415 -- hardly ever needed

    reason = f"nobody confirmed it within {found.confirm_timeout:g} s"
    if found.phase == marker.ROLLING_BACK:
        reason = "it was being undone already, which was cut short"
    elif found.phase == marker.ACTIVATING:
        reason = f"its activation was cut short, and {reason}"
    try:
        roll_back(layout, manager, reason, Deadline.after(_ROLL_BACK_SECONDS), found.token)
    except AgentError as error:
        return None if error.code == "not-armed" else error.message
    except OSError as error:
        return from_os_error(error).message
    return None
