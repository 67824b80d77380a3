"""Changing a worker's owner: nothing that runs is touched, only whom the next activation is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import AgentError
from .lock import exclusive
from .records import Owner, read_owner, write_owner

if TYPE_CHECKING:
    from pathlib import Path

    from .deadline import Deadline
    from .layout import Layout


def look(layout: Layout) -> dict[str, Any]:
    """Who owns this worker, and when it was last activated: seconds since the epoch by its clock, or None."""
    owner = read_owner(layout)
    return {"owner": None if owner is None else _as_json(owner), "activated": _changed(layout.applied)}


def adopt(layout: Layout, owner: Owner, previous: Owner | None, deadline: Deadline) -> dict[str, Any]:
    """Make `owner` the owner in place of `previous`; repeating it is fine.

    AgentError `owner-changed` when by now it is neither of them, `busy` while an activation is under way.
    """
    layout.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    with exclusive(layout, deadline):
        now = read_owner(layout)
        if now == owner:
            return {"owner": _as_json(owner), "changed": False}
        if now != previous:
            raise AgentError(
                "owner-changed",
                f"its owner changed meanwhile: it is {_named(now)} now, and was {_named(previous)} when it was looked "
                "at. Nothing was changed: look at it again",
            )
        write_owner(layout, owner)
        return {"owner": _as_json(owner), "changed": True}


def _as_json(owner: Owner) -> dict[str, str]:
    return {"root_commit": owner.root_commit, "environment": owner.environment}


def _named(owner: Owner | None) -> str:
    return "nobody" if owner is None else f"environment {owner.environment} of {owner.root_commit[:12]}"


def _changed(path: Path) -> float | None:
    try:
        return round(path.lstat().st_mtime, 3)
    except FileNotFoundError:
        return None
