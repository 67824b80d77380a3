"""Which jobs have to end before others are touched: filters, before those that take what they put out.

A batch that a filter has read is acknowledged, and what it makes of it can't be had again. So it must find its
consumers there while it comes to its end. Everything else is sent again what it had not finished, in whatever order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path


class _Ends(NamedTuple):
    """The sockets at which a job listens, and those that it connects to."""

    listens: frozenset[str]
    connects: frozenset[str]
    is_filter: bool


def filters_first(release: Path, jobs: Collection[str]) -> list[list[str]]:
    """Those of `jobs` that end before the others, in turn; `release` is the directory that they run from.

    Empty for most: only a filter whose consumer is among the jobs is there. A job that can't be read counts as none.
    """
    known = {job: ends for job in sorted(jobs) if (ends := _ends(release, job)) is not None}
    waiting = {
        job: ends
        for job, ends in known.items()
        if ends.is_filter and any(ends.connects & other.listens for name, other in known.items() if name != job)
    }
    waves: list[list[str]] = []
    while waiting:
        fed = {job for job, ends in waiting.items() if _is_fed(job, ends, waiting)}
        wave = sorted(waiting.keys() - fed) or sorted(waiting)  # a circle is no order
        waves.append(wave)
        for job in wave:
            del waiting[job]
    return waves


def _is_fed(job: str, ends: _Ends, by: Mapping[str, _Ends]) -> bool:
    return any(other.connects & ends.listens for name, other in by.items() if name != job)


def _ends(release: Path, job: str) -> _Ends | None:
    try:
        runner = json.loads((release / "jobs" / job / "job.json").read_bytes())["runner"]
        return _Ends(
            listens=frozenset(str(end["socket"]) for end in _of(runner["inputs"]) if "socket" in end),
            connects=frozenset(str(socket) for end in _of(runner["outputs"]) for socket in end.get("sockets", ())),
            is_filter=runner["role"] == "exec",
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _of(ports: Mapping[str, Any]) -> Iterator[Any]:
    for ends in ports.values():
        yield from ends
