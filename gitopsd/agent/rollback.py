"""Return to what was confirmed last: the complete set of units and values, or nothing at all where nothing was.

Nothing here needs space on the disk before the jobs that may have taken it are stopped. A repeat finishes one that was
cut short, and so does the next activation.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import credentials, marker, records, reserve, store, way_in
from .converge import Step, as_json, converge
from .decide import RECORD, RESTART, decide
from .durable import remove, sync
from .errors import AgentError
from .lock import exclusive
from .observe import observe
from .progress import Progress
from .release import Release, load_release
from .services import NOT_THERE

if TYPE_CHECKING:
    from .deadline import Deadline
    from .layout import Layout
    from .services import ServiceManager


def roll_back(
    layout: Layout,
    manager: ServiceManager,
    reason: str,
    deadline: Deadline,
    token: str | None = None,
    *,
    release: str | None = None,
) -> dict[str, Any]:
    """Undo the activation that waits for its confirmation; the result is that of the verb.

    token: that activation only. release: only one of that release.
    AgentError `not-armed` where none waits; OSError or another AgentError where it could not be done: the marker stays
    then.
    """
    if not layout.root.is_dir():
        raise _not_armed()
    progress = Progress()
    with exclusive(layout, deadline):
        with marker.guarded(layout):
            found = marker.read(layout)
            if found is None or token not in (None, found.token) or release not in (None, found.release):
                raise _not_armed()
            marker.claim(layout)
        previous = _previous(layout, found)
        rekeyed = credentials.changed_jobs(layout, previous, found.credentials)
        _make_room(layout, manager, previous, deadline)

        def swap() -> None:
            credentials.return_to(layout, found.credentials)
            if found.previous is None:
                remove(layout.current)
                sync(layout.root)
            elif store.current_release(layout) != found.previous:
                store.swap(layout, found.previous)

        step = Step(previous, rekeyed, arm=lambda: None, swap=swap)
        done = converge(layout, manager, step, progress=progress, deadline=deadline)
        credentials.settle(layout, previous)
        records.write_rolled_back(
            layout,
            {
                "release": found.release,
                "to": found.previous,
                "at": round(time.time(), 3),
                "reason": reason,
                "token": found.token,
            },
        )
        records.clear_activating(layout)
        reopened = way_in.reopen(found.way_in)
        marker.clear(layout)
        observation = {**observe(layout, done.units), "busy": False}
    return {
        **as_json(done, progress),
        "release": found.previous,
        "previous": found.release,
        "reopened": reopened,
        "observation": observation,
    }


def _previous(layout: Layout, found: marker.Marker) -> Release:
    if found.previous is None:
        return Release("", {}, {})
    return load_release(layout.releases / found.previous)


def _make_room(layout: Layout, manager: ServiceManager, previous: Release, deadline: Deadline) -> None:
    """Stop what is going to be replaced, so that nothing of it takes the reserve, and give that back."""
    units = manager.units()
    applied, completed = records.read_applied(layout), records.completed_jobs(layout)
    decision = decide(previous, applied, units, manager.difference(previous, units), completed)
    stopped = [previous.jobs[job].unit for job in decision.jobs(RESTART)]
    stopped += [unit for unit in decision.orphans if unit in units]
    # a deployment leaves runs that are under way alone; those of a version that is undone aren't to be trusted
    scheduled = [previous.jobs[job] for job in decision.jobs(RECORD, RESTART) if previous.jobs[job].kind == "schedule"]
    stopped += [job.service for job in scheduled if units.get(job.service, NOT_THERE).is_running]
    if stopped:
        manager.stop(stopped, deadline)
    reserve.give_back(layout)


def _not_armed() -> AgentError:
    return AgentError("not-armed", "no activation waits to be confirmed on this worker: there is nothing to undo")
