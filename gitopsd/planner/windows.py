"""Deployment windows: whether new versions may be deployed at a time, and else from when on they may.

Times are seconds since the epoch. A window is open from each start of its schedule on, for its duration as a clock
measures it: over a change to or from daylight saving time, ten hours are ten hours.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

_MOST_STARTS = 400
"""Of one window that are followed while each begins before the one before ends; then it counts as open for good."""

_MOST_CHANGES = 200
"""Ends and starts of windows that are followed in search of a time when nothing holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`starts` gives the times after a given one at which it opens, in order. `label` is what people call it.

    Without `environments` or `groups` it is about all of them.
    """

    kind: Literal["allow", "deny"]
    label: str
    duration: float
    starts: Callable[[float], Iterator[float]]
    environments: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Nothing is to be deployed, by `reason`; `until` is None where no end of that can be told."""

    reason: str
    until: float | None


def matching(windows: Sequence[Window], environment: str, groups: Collection[str] | None) -> tuple[Window, ...]:
    """Those about a deployment that changes workers of these groups; with None, about any of the environment."""
    return tuple(
        window
        for window in windows
        if (not window.environments or environment in window.environments)
        and (not window.groups or groups is None or not window.groups.isdisjoint(groups))
    )


def closed(windows: Sequence[Window], now: float) -> Closed | None:
    """What holds a deployment that all `windows` are about; None where nothing does.

    Any deny window that is open holds. Where there are allow windows, one has to be open.
    """
    at, reason = now, ""
    for _ in range(_MOST_CHANGES):
        found = _closed_at(windows, at)
        if found is None:
            return Closed(reason=reason, until=at) if reason else None
        reason = reason or found.reason
        if found.until is None:
            break
        at = found.until
    return Closed(reason=reason, until=None)


def _closed_at(windows: Sequence[Window], at: float) -> Closed | None:
    denying = [(end, window) for window in windows if window.kind == "deny" and (end := _open_until(window, at)) > at]
    if denying:
        end, window = max(denying, key=lambda pair: pair[0])
        return Closed(reason=f"the window {window.label}", until=None if math.isinf(end) else end)
    allowing = [window for window in windows if window.kind == "allow"]
    if not allowing or any(_open_until(window, at) > at for window in allowing):
        return None
    start, window = min(((_next_start(window, at), window) for window in allowing), key=lambda pair: pair[0])
    return Closed(reason=f"being outside of the window {window.label}", until=None if math.isinf(start) else start)


def _open_until(window: Window, at: float) -> float:
    """When it closes, should it be open; else a time that isn't after `at`."""
    end = at
    for count, start in enumerate(window.starts(at - window.duration)):
        if start > end:
            break
        end = max(end, start + window.duration)
        if count == _MOST_STARTS:
            return math.inf
    return end


def _next_start(window: Window, at: float) -> float:
    return next((start for start in window.starts(at) if start > at), math.inf)
