from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import marker
from .copy_place import places
from .credentials import fingerprints
from .githash import read_directory, tree_id
from .lock import is_held
from .records import completed_jobs, read_applied, read_deployment, read_owner, read_rolled_back
from .store import current_release, half_removed, release_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .githash import Hashes
    from .layout import Layout
    from .services import Unit


def observe(
    layout: Layout, units: Mapping[str, Unit], key: bytes | None = None, hashes: Hashes | None = None
) -> dict[str, Any]:
    """What this worker holds and runs right now; changes nothing.

    `files` is there only where the release on disk is not what its name says. `interrupted`: an activation, the
    undoing of one, or the removal of a release was killed midway, and the next activation will finish it; `busy`: one
    is under way, so that this picture may be mixed.
    `credentials` is there only where the controller gave a key: it has fingerprints made with that.
    """
    owner = read_owner(layout)
    release = current_release(layout)
    found: dict[str, Any] = {
        "owner": None if owner is None else {"root_commit": owner.root_commit, "environment": owner.environment},
        "release": release,
        "tree": None,
        "units": {name: unit.as_json() for name, unit in units.items()},
        "applied": read_applied(layout),
        "completed": completed_jobs(layout),
        "releases": release_ids(layout),
        "interrupted": False,
        "busy": is_held(layout),
        "switch": marker.as_json(layout),
        "rolled_back": read_rolled_back(layout),
        "deployment": read_deployment(layout),
    }
    copies = [place.name for place in places(layout)]
    if copies:
        found["copies"] = copies
    if key is not None:
        found["credentials"] = fingerprints(layout, key)
    # also where only the switch knows of it, which would undo what looks finished
    cut_short = layout.activating.exists() or (found["switch"] or {}).get("phase", marker.WAITING) != marker.WAITING
    found["interrupted"] = (cut_short or bool(half_removed(layout))) and not found["busy"]
    if release is not None and (layout.releases / release).is_dir():
        entries = read_directory(layout.releases / release, hashes)
        found["tree"] = tree_id(entries)
        if found["tree"] != release:
            found["files"] = [[entry.path, entry.mode, entry.blob] for entry in entries]
    return found
