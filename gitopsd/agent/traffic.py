"""What jobs say of the events that pass them (runner/traffic.py). Their files are theirs: nothing in one is trusted."""

from __future__ import annotations

import json
import math
import os
import stat
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .release import job_of_unit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .layout import Layout

_MOST_BYTES = 512 * 1024
_MOST_ENDS = 64
_MOST = 2**53
_LONGEST_TEXT = 255
_LONGEST_MESSAGE = 300


class Report(NamedTuple):
    """What a job's file says, of whatever form, and how old it is in seconds."""

    said: Any
    age: float


def read_traffic(layout: Layout, units: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Job -> what it last said, with its `age` in seconds; without those that say nothing, or nothing sensible."""
    found = {}
    for unit in units:
        job = job_of_unit(unit)
        said = None if job is None or not unit.endswith(".service") else _read(f"{layout.run}/s/{job}.json")
        if said is not None:
            found[str(job)] = said
    return found


def forget_traffic(layout: Layout, jobs: Collection[str]) -> None:
    """Remove what jobs said that are none any more; other jobs' stay, and sockets do."""
    for said in (layout.run / "s").glob("*.json"):
        if said.name[: -len(".json")] not in jobs:
            said.unlink(missing_ok=True)


def read_report(path: str) -> Report | None:
    """None where there is no file, or one that nobody should read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return None
        try:
            return Report(json.loads(file.read(_MOST_BYTES)), max(0.0, time.time() - status.st_mtime))
        except (OSError, ValueError, RecursionError):
            return None


def _read(path: str) -> dict[str, Any] | None:
    found = read_report(path)
    try:
        return None if found is None else _checked(found.said, found.age)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _checked(said: Any, age: float) -> dict[str, Any]:
    """Raises ValueError, KeyError or TypeError."""
    if said["format"] != 1:
        raise ValueError("another format")
    return {
        "age": round(age, 1),
        **{key: _count(said[key]) for key in ("pid", "read", "done", "failed")},
        **({} if said.get("error") is None else {"error": _text(said["error"], _LONGEST_MESSAGE)}),
        "inputs": [
            {
                **_end(end),
                "done": _count(end["done"]),
                "waiting": _waiting(end["waiting"]),
                "stalled": _seconds(end["stalled"]),
            }
            for end in said["inputs"][:_MOST_ENDS]
        ],
        "outputs": [
            {**_end(end), **_consumers(end), "blocked": _seconds(end["blocked"])}
            for end in said["outputs"][:_MOST_ENDS]
        ],
    }


def _end(end: Any) -> dict[str, Any]:
    return {
        "port": _text(end["port"]),
        "channel": _text(end["channel"]),
        "events": _count(end["events"]),
        "bytes": _count(end["bytes"]),
        **({} if end.get("away") is None else {"away": _away(end["away"])}),
    }


def _consumers(end: Any) -> dict[str, Any]:
    if end.get("consumers") is None:
        return {}
    steps = list(end["consumers"].items())[:_MOST_ENDS]
    return {"consumers": {_text(step): _waiting(waiting) for step, waiting in steps}}


def _waiting(value: Any) -> int | None:
    return None if value is None else _count(value)


def _away(value: Any) -> dict[str, Any]:
    return {"message": _text(value["message"], _LONGEST_MESSAGE), "seconds": _seconds(value["seconds"])}


def _text(value: Any, longest: int = _LONGEST_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise ValueError("not a name")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError("not a count")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:
        raise ValueError("not a number of seconds")
    return float(value) if math.isfinite(value) else 0.0
