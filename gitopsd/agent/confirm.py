from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import marker
from .errors import AgentError
from .records import read_rolled_back, require_owner
from .store import current_release

if TYPE_CHECKING:
    from .layout import Layout


def confirm(layout: Layout, root_commit: str | None, token: str, release: str) -> dict[str, Any]:
    """Keep what an activation changed; as often as one likes. Waits for no activation.

    AgentError `rolled-back` when it is too late, `stale` when another activation came in between, `busy` while it is
    under way, or where it was cut short: what is half done would be kept.
    """
    require_owner(layout, root_commit)
    if not layout.root.is_dir():
        raise AgentError("rolled-back", "nothing was activated on this worker, or it was torn down: apply again")
    with marker.guarded(layout):
        found = marker.read(layout)
        if found is None or found.token != token:
            _require_confirmed(layout, found, token, release)
        elif found.phase == marker.ROLLING_BACK:
            raise AgentError("rolled-back", "nobody confirmed this activation in time: it is being undone right now")
        elif found.phase == marker.ACTIVATING:
            raise AgentError(
                "busy", "this activation is under way, or was cut short: activate again, then confirm that one"
            )
        else:
            marker.clear(layout)
    return {"confirmed": True}


def _require_confirmed(layout: Layout, found: marker.Marker | None, token: str, release: str) -> None:
    undone = read_rolled_back(layout)
    if undone is not None and undone["token"] == token:
        raise AgentError("rolled-back", f"this activation was undone: {undone['reason']}", rolled_back=undone)
    if found is not None:
        raise AgentError(
            "stale", f"another activation, of release {found.release[:12]}, has taken the place of this one since"
        )
    if current_release(layout) != release:
        raise AgentError("stale", f"this worker holds another release than {release[:12]} by now: apply again")
