"""The dead man's switch of one activation: what it changed is undone unless somebody confirms."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import credentials, marker, reserve, store, switch_units, way_in
from .errors import AgentError
from .records import read_applied
from .release import load_release

if TYPE_CHECKING:
    from .deadline import Deadline
    from .layout import Layout
    from .release import Release

# what an activation may take beyond its deadline: the last of its commands, reading back, its answer
_GRACE_SECONDS = 60.0
_STARTED_FIELD = 19  # of what follows the name in /proc/PID/stat: field 22, starttime, of proc(5)


class Switch:
    """confirm_timeout: seconds, or None for an activation that nothing undoes. token: once armed, else None."""

    def __init__(self, layout: Layout, confirm_timeout: float | None, deadline: Deadline) -> None:
        self._layout = layout
        self._confirm_timeout = confirm_timeout
        self._deadline = deadline
        self._armed: marker.Marker | None = None

    @property
    def token(self) -> str | None:
        return None if self._armed is None else self._armed.token

    def arm(self, release: Release, *, moves: bool) -> None:
        """Before anything that runs is touched; not where nothing moves and no other activation waits either.

        What another activation that nobody confirmed would return to is kept: what was confirmed last.
        """
        layout = self._layout
        if self._confirm_timeout is None:
            return
        pending = marker.read(layout)
        if not moves and pending is None:
            return
        previous, values = (pending.previous, pending.credentials) if pending else _held(layout)
        reserve.make(layout, units=len(release.units))
        armed = marker.Marker(
            token=os.urandom(16).hex(),
            release=release.id,
            previous=previous,
            credentials=values,
            confirm_timeout=self._confirm_timeout,
            phase=marker.ACTIVATING,
            boot=marker.boot_id(),
            limit=marker.now() + self._deadline.remaining() + _GRACE_SECONDS,
            due=None,
            process=(os.getpid(), process_started(os.getpid()) or 0),
            way_in=pending.way_in if pending else way_in.open_now(),
        )
        # first the timer: it finds nothing to do should we be killed before the marker is there
        patience = switch_units.patience(self._confirm_timeout)
        started = switch_units.start(layout, patience)
        with marker.guarded(layout):
            marker.replace(layout, armed)
        if marker.now() - started > patience / 2:
            switch_units.start(layout, patience)  # the machine was asleep: it may have fired already
        self._armed = armed

    def activated(self) -> None:
        """From now on the confirmation is waited for; where none is, what was waited for before counts no more."""
        layout, armed = self._layout, self._armed
        if armed is None:
            if self._confirm_timeout is None and marker.read(layout) is not None:
                marker.clear(layout)
            return
        with marker.guarded(layout):
            found = marker.read(layout)
            if found is not None and found.token == armed.token:
                due = marker.now() + armed.confirm_timeout
                marker.replace(layout, armed._replace(phase=marker.WAITING, due=due))


def process_started(pid: int) -> int | None:
    """When a process began, in the kernel's ticks: with its id that names it for good. None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 -- as cheap as it gets
            return int(file.read().rpartition(b")")[2].split()[_STARTED_FIELD])
    except (OSError, ValueError, IndexError):
        return None


def _held(layout: Layout) -> tuple[str | None, str | None]:
    """What counts now: release and set of values; no release where nothing was activated before."""
    return _current(layout), credentials.current_set(layout)


def _current(layout: Layout) -> str | None:
    """Where somebody took the link or the release away, the one that holds just what the jobs were started with."""
    current = store.current_release(layout)
    if current is not None and _digests(layout, current) is not None:
        return current
    applied = read_applied(layout)
    return next((one for one in store.release_ids(layout) if applied and _digests(layout, one) == applied), None)


def _digests(layout: Layout, release: str) -> dict[str, str] | None:
    """Job -> digest; None for a release that could not be run again."""
    try:
        return {job.name: job.digest for job in load_release(layout.releases / release).jobs.values()}
    except AgentError:
        return None
