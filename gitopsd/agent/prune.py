from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import marker, switch_units
from .durable import remove
from .lock import exclusive
from .store import current_release, doomed, release_ids
from .traffic import forget_traffic

if TYPE_CHECKING:
    from collections.abc import Collection

    from .deadline import Deadline
    from .layout import Layout

_AGENT_DAYS = 1  # another controller may be in the middle of sending, or using, one of its own


def prune(layout: Layout, keep: Collection[str], deadline: Deadline) -> dict[str, Any]:
    """Remove releases that nobody asked to keep, that aren't current and that no process runs from; and old agents."""
    if not layout.root.is_dir():
        return {"removed": [], "in_use": []}
    with exclusive(layout, deadline):
        waiting = marker.read(layout)
        spare = {*keep, current_release(layout), waiting.previous if waiting else None}
        unwanted = [release for release in release_ids(layout) if release not in spare]
        used = _used(layout, unwanted)
        removed = [release for release in unwanted if release not in used]
        for release in removed:
            _remove_release(layout, release)
        if not layout.activating.exists():
            remove(layout.staging)
        _remove_old_agents(layout)
        forget_traffic(layout, _jobs(layout))
        return {"removed": removed, "in_use": sorted(used)}


def _jobs(layout: Layout) -> list[str]:
    return [directory.name for directory in (layout.current / "jobs").glob("*")]


def _remove_release(layout: Layout, release: str) -> None:
    layout.staging.mkdir(mode=0o700, exist_ok=True)
    aside = doomed(layout, release)
    remove(aside)
    (layout.releases / release).rename(aside)
    remove(aside)


def _used(layout: Layout, releases: list[str]) -> set[str]:
    """Releases that a process was launched from: it stands in its directory, or its environment names its files."""
    used: set[str] = set()
    if not releases:
        return used
    marks = {release: os.fsencode(layout.releases / release) for release in releases}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            traces = _traces(process)
            used.update(release for release, mark in marks.items() if mark in traces)
    return used


def _traces(process: Path) -> bytes:
    try:
        where = os.readlink(os.fsencode(process / "cwd"))  # noqa: PTH115 -- bytes, whatever the name
        return where + b"\0" + (process / "environ").read_bytes()
    except OSError:
        return b""  # ended meanwhile, or another user's: then it is none of our jobs


def _remove_old_agents(layout: Layout) -> None:
    if not layout.agents.is_dir():
        return
    own = (Path(sys.argv[0]).name, switch_units.LINK, switch_units.agent_in_use(layout) or switch_units.LINK)
    oldest = time.time() - _AGENT_DAYS * 86400
    for path in layout.agents.iterdir():
        if not path.name.startswith(own) and path.lstat().st_mtime < oldest:
            remove(path)
