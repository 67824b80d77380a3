"""The marker of the dead man's switch: there as long as an activation has not been confirmed.

A lock of its own, which nobody holds for long, keeps confirming, changing its phase and rolling back apart: exactly one
of them wins.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from .durable import remove, replace_file_synced, sync
from .errors import AgentError
from .manifest import is_object_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .layout import Layout

ACTIVATING, WAITING, ROLLING_BACK = "activating", "waiting", "rolling-back"
_BOOT = "/proc/sys/kernel/random/boot_id"
_GUARD_SECONDS = 10.0
_POLL_SECONDS = 0.01


class Marker(NamedTuple):
    """What is waited for and what is returned to. Times are seconds of CLOCK_BOOTTIME, good for the boot named only."""

    token: str
    release: str
    previous: str | None  # None: nothing was there
    credentials: str | None  # the set of values that was current
    confirm_timeout: float
    phase: str
    boot: str
    limit: float  # by when the activation itself must have ended
    due: float | None  # when it is undone; None while it is under way
    process: tuple[int, int]  # the agent that activates: its id, and when it was started in the kernel's words
    way_in: dict[str, list[str]] = {}  # noqa: RUF012 -- never changed


def now() -> float:
    """Seconds since boot, suspended ones included; whatever happens to the wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    with open(_BOOT, encoding="ascii") as file:  # noqa: PTH123 -- as cheap as it gets
        return file.read().strip()


def read(layout: Layout) -> Marker | None:
    """The marker, whatever its phase; None where nothing waits to be confirmed or undone.

    A damaged one, which no crash leaves behind, says of nothing what to return to, and counts as none.
    """
    # an activation that found an interrupted rollback may have been killed before it removed its file
    found = _read(layout.armed)
    if found is not None:
        return found
    found = _read(layout.rolling_back)
    return None if found is None else found._replace(phase=ROLLING_BACK)


def replace(layout: Layout, marker: Marker) -> None:
    """Write it, or another one in its place; on disk when this returns. Under `guarded`."""
    content = {**marker._asdict(), "format": 1}
    replace_file_synced(layout.armed, json.dumps(content, sort_keys=True).encode() + b"\n", 0o600)
    if layout.rolling_back.exists():
        layout.rolling_back.unlink()  # were we killed before this, the other one would count


def claim(layout: Layout) -> None:
    """It is too late to confirm from here on; needs no space on the disk. Under `guarded`."""
    if layout.armed.exists():
        layout.armed.replace(layout.rolling_back)
        sync(layout.root)


def clear(layout: Layout) -> None:
    """Nothing is undone from here on, also after a power loss. Under `guarded`, or the worker's own lock."""
    remove(layout.armed)
    remove(layout.rolling_back)
    sync(layout.root)


@contextmanager
def guarded(layout: Layout) -> Iterator[None]:
    """Keep the marker as it is while it is looked at and changed: for file operations only, no waiting inside."""
    # a file that nobody else may open, unlike the directory: a job could lock that, and would never be undone
    descriptor = os.open(layout.guard, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + _GUARD_SECONDS
        while not _try(descriptor):
            if time.monotonic() >= end:
                raise AgentError("busy", f"another agent holds {layout.guard} for {_GUARD_SECONDS:.0f} s: retry")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def as_json(layout: Layout) -> dict[str, Any] | None:
    """What an observation says of it."""
    marker = read(layout)
    if marker is None:
        return None
    left = None if marker.due is None or marker.boot != boot_id() else round(max(0.0, marker.due - now()), 3)
    return {
        "release": marker.release,
        "previous": marker.previous,
        "token": marker.token,
        "seconds_left": left,
        "phase": marker.phase,
    }


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Marker | None:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return None
    try:
        return _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _parse(content: Any) -> Marker:
    pid, started = content["process"]
    previous, credentials, due = content["previous"], content["credentials"], content["due"]
    if not is_object_id(content["release"]) or not (previous is None or is_object_id(previous)):
        raise ValueError("not a release")
    return Marker(
        token=str(content["token"]),
        release=content["release"],
        previous=previous,
        credentials=None if credentials is None else str(credentials),
        confirm_timeout=float(content["confirm_timeout"]),
        phase=str(content["phase"]),
        boot=str(content["boot"]),
        limit=float(content["limit"]),
        due=None if due is None else float(due),
        process=(int(pid), int(started)),
        way_in={str(kind): [str(name) for name in names] for kind, names in content["way_in"].items()},
    )
