"""Changing a worker's owner: nothing that runs is touched, only whom the next activation is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import marker
from .errors import AgentError
from .lock import exclusive
from .records import Owner, parse_owner, read_deployment, read_owner, write_owner

if TYPE_CHECKING:
    from pathlib import Path

    from .deadline import Deadline
    from .layout import Layout


class Held(NamedTuple):
    """Whose a worker is, None for nobody's, and the number of the newest deployment that it was activated for."""

    owner: Owner | None
    deployment: int


def parse_held(value: Any) -> Held:
    """The request's `previous`: {owner, deployment}, as `look` gave it."""
    if not isinstance(value, dict) or not isinstance(value.get("deployment"), int):
        raise AgentError("protocol", "previous is not {owner, deployment}")
    owner = value.get("owner")
    return Held(None if owner is None else parse_owner(owner), value["deployment"])


def look(layout: Layout) -> dict[str, Any]:
    """Who owns this worker, and when it was last activated: seconds since the epoch by its clock, or None."""
    return {**_as_json(_held(layout)), "activated": _changed(layout.applied)}


def adopt(layout: Layout, owner: Owner, previous: Held, deadline: Deadline) -> dict[str, Any]:
    """Make `owner` the owner in place of `previous`, activated for no deployment yet; repeating it is fine.

    AgentError `owner-changed` when by now it is neither of them, `busy` while an activation is under way or waits to
    be confirmed.
    """
    layout.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    with exclusive(layout, deadline):
        now = _held(layout)
        wanted = Held(owner, 0)
        if now == wanted:
            return {**_as_json(now), "changed": False}
        if now != previous:
            raise AgentError(
                "owner-changed",
                f"it changed meanwhile: it belongs to {_named(now)} now, and was of {_named(previous)} when it was "
                "looked at. Nothing was changed: look at it again",
            )
        if marker.read(layout) is not None:
            raise AgentError(
                "busy", "an activation waits to be confirmed here, or is undone soon: wait for that, then retry"
            )
        write_owner(layout, owner)
        return {**_as_json(wanted), "changed": True}


def _held(layout: Layout) -> Held:
    return Held(read_owner(layout), read_deployment(layout))


def _as_json(held: Held) -> dict[str, Any]:
    owner = held.owner
    shown = None if owner is None else {"root_commit": owner.root_commit, "environment": owner.environment}
    return {"owner": shown, "deployment": held.deployment}


def _named(held: Held) -> str:
    if held.owner is None:
        return "nobody"
    return f"environment {held.owner.environment} of {held.owner.root_commit[:12]} at deployment {held.deployment}"


def _changed(path: Path) -> float | None:
    try:
        return round(path.lstat().st_mtime, 3)
    except FileNotFoundError:
        return None
