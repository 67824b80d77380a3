"""What an agent that answers many requests remembers of the last observation, so that the next one costs less."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from .release import job_of_unit

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    _Shown = Mapping[str, Mapping[str, str]]

# a file that was changed just before it was read may be changed again with the same times to show for it: file
# systems count in ticks of up to 10 ms, some in seconds
_RACY_NS = 2_000_000_000
# a timer isn't among them: when it runs its unit next is told too, and leaves no trace
_SETTLED = frozenset({("active", "running"), ("active", "exited"), ("inactive", "dead")})


class Kept:
    """Belongs to one process, and to nothing that outlives it."""

    def __init__(self) -> None:
        self.hashes = StatCache()
        self.shown = ShownCache()


class StatCache:
    """Blob ids by what `stat` says of a file, as Git's index has them: read again is only what may have changed."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._found: dict[str, tuple[tuple[int, ...], str]] = {}

    def blob(self, path: str, status: os.stat_result, read: Callable[[], str]) -> str:
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._known.get(path)
        if known is not None and known[0] == mark:
            self._found[path] = known
            return known[1]
        before = self._now_ns()
        blob = read()
        if max(status.st_mtime_ns, status.st_ctime_ns) < before - _RACY_NS:
            self._found[path] = (mark, blob)
        return blob

    def walked(self) -> None:
        """All of the directory has been asked for: what wasn't is gone."""
        self._known, self._found = self._found, {}


class ShownCache:
    """What `systemctl show` said, for as long as systemd's list of units and their invocations stay what they were.

    Only where every unit has come to rest: one that starts, ends or has failed may change without any trace in those.
    """

    def __init__(self, mark: Callable[[], bytes | None] | None = None) -> None:
        self._take = mark
        self._mark: bytes | None = None
        self._asked: tuple[str, ...] = ()
        self._shown: _Shown = {}

    def show(self, units: Sequence[str], show: Callable[[Sequence[str]], _Shown]) -> _Shown:
        before = self._marked()
        if before is not None and before == self._mark and self._asked == tuple(units):
            return self._shown
        shown = show(units)
        jobs = [unit for name, unit in shown.items() if job_of_unit(name) is not None]
        resting = all((unit.get("ActiveState"), unit.get("SubState")) in _SETTLED for unit in jobs)
        self._mark = before if before is not None and resting and before == self._marked() else None
        self._asked, self._shown = tuple(units), shown
        return shown

    def _marked(self) -> bytes | None:
        if self._take is None:
            from .unit_marks import unit_marks  # noqa: PLC0415 -- where there is no systemd it isn't needed

            self._take = unit_marks
        return self._take()


def etag(observation: Mapping[str, Any]) -> str:
    """Names what was observed. Fingerprints are made with another key each time, and `since` is rounded anew."""
    units = {name: {**unit, "since": None} for name, unit in observation["units"].items()}
    shown = {key: value for key, value in observation.items() if key != "credentials"}
    return sha256(json.dumps({**shown, "units": units}, sort_keys=True).encode("utf-8", "replace")).hexdigest()
