from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import marker, reserve, switch_units
from .copy_place import places
from .durable import remove, sync
from .errors import AgentError
from .lock import exclusive
from .records import require_owner

if TYPE_CHECKING:
    from .copies import CopyService
    from .deadline import Deadline
    from .layout import Layout
    from .services import ServiceManager


def teardown(
    layout: Layout,
    manager: ServiceManager,
    root_commit: str | None,
    deadline: Deadline,
    *,
    copies: CopyService | None,
) -> dict[str, Any]:
    """Stop and remove all that gitopsd has on this worker: units, releases, state, the agent itself.

    What jobs wrote elsewhere stays, and so does the user gitopsd-job, since those files belong to it. Unmanaged copies
    are a person's: they go too where `copies` is what runs them.
    Raises AgentError `owned-by-another` or `has-copies` before anything is touched.
    """
    if not layout.root.is_dir():
        return {"units": manager.remove_all(deadline), "directories": []}
    with exclusive(layout, deadline):
        require_owner(layout, root_commit)
        _part_with_copies(layout, copies, deadline)
        # first of all: what is torn down isn't to be returned to
        marker.clear(layout)
        if layout.service_manager == "systemd":
            reserve.give_back(layout)
            switch_units.remove_all(layout)
        units = manager.remove_all(deadline)
        places = [layout.root] if layout.root in layout.run.parents else [layout.root, layout.run]
        removed = [str(path) for path in places if path.exists()]
        # the owner goes last but for the directory itself: a teardown that was killed can be repeated by its owner only
        for path in sorted(layout.root.iterdir(), key=lambda path: path in (layout.lock, layout.owner)):
            if path not in (layout.lock, layout.owner):
                remove(path)
        remove(layout.run)
        remove(layout.owner)
        if layout.root.is_mount():
            remove(layout.lock)  # what somebody mounted there stays mounted, empty
        else:
            remove(layout.root)
            sync(layout.root.parent)
        return {"units": units, "directories": removed}


def _part_with_copies(layout: Layout, service: CopyService | None, deadline: Deadline) -> None:
    found = places(layout)
    if not found:
        return
    names = [place.name for place in found]
    if service is None:
        raise AgentError(
            "has-copies",
            f"there are unmanaged copies on this worker: {', '.join(names)}. Nothing was touched: remove each with "
            "`gitopsd job remove`, or tear down with --with-copies",
            copies=names,
        )
    from .copies import remove_copies  # noqa: PLC0415 -- hardly any worker has one

    remove_copies(found, service, deadline)
