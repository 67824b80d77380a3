"""`sample` and `dedupe`: fewer events, chosen the same way each time."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from gitopsd.runner.roles.transform.actions import DROPPED, Action
from gitopsd.runner.roles.transform.expressions import compile_expression
from gitopsd.runner.roles.transform.json_text import encode

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

REMEMBERED = 10_000
MOST_REMEMBERED = 10_000_000
_LONGEST_KEPT = 64
"""Characters of a text that is remembered itself; of anything else 16 bytes are."""


def compile_sample(action: Settings) -> Action:
    """`sample: 0.1`, or `sample: {rate: 0.1, by: EXPRESSION}`. Raises JobError."""
    if action.is_number("sample"):
        return _evenly(_rate(action, "sample"))
    settings = action.section("sample")
    settings.only("rate", "by")
    rate = _rate(settings, "rate")
    if "by" not in settings.names():
        return _evenly(rate)
    by = compile_expression(settings.text("by"), f"{settings.where}.by")
    limit = int(rate * (1 << 64))
    return lambda event: event if int.from_bytes(_digest(by(event))[:8], "big") < limit else DROPPED


def compile_dedupe(action: Settings) -> Action:
    """`dedupe: EXPRESSION`, or `dedupe: {by: EXPRESSION, events: 10000, seconds: 0}`. Raises JobError.

    Remembers the newest `events` values, each for `seconds` (0: for as long as there is room). A value of null says
    nothing, so such events are kept.
    """
    events, seconds = REMEMBERED, 0.0
    if action.is_text("dedupe"):
        by = compile_expression(action.text("dedupe"), action.where)
    else:
        settings = action.section("dedupe")
        settings.only("by", "events", "seconds")
        by = compile_expression(settings.text("by"), f"{settings.where}.by")
        events, seconds = settings.integer("events", REMEMBERED), settings.number("seconds", 0)
        if not 0 < events <= MOST_REMEMBERED:
            raise settings.wrong("events", f"1 to {MOST_REMEMBERED}")
        if seconds < 0:
            raise settings.wrong("seconds", "0 or more")
    seen = _Seen(events, seconds)

    def apply(event: object) -> object:
        value = by(event)
        return DROPPED if value is not None and seen.again(value) else event

    return apply


class _Seen:
    """The newest values and when each came first (monotonic seconds)."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._since: OrderedDict[object, float] = OrderedDict()

    def again(self, value: object) -> bool:
        """Whether the value is remembered; from now on it is."""
        short = type(value) is str and len(value) <= _LONGEST_KEPT
        key = value if short else _digest(value)
        now = time.monotonic() if self._seconds else 0.0
        if self._seconds:
            self._forget(now - self._seconds)
        if key in self._since:
            return True
        self._since[key] = now
        if len(self._since) > self._most:
            self._since.popitem(last=False)
        return False

    def _forget(self, until: float) -> None:
        while self._since and next(iter(self._since.values())) <= until:
            self._since.popitem(last=False)


def _rate(settings: Settings, key: str) -> float:
    rate = settings.number(key)
    if not 0 < rate <= 1:
        raise settings.wrong(key, "more than 0 and at most 1: the share of events to keep")
    return rate


def _evenly(rate: float) -> Action:
    """At 0.25 each fourth event. Counted in whole numbers, for a sum of fractions would drift."""
    seen = kept = 0

    def apply(event: object) -> object:
        nonlocal seen, kept
        seen += 1
        if int(seen * rate + 1e-9) == kept:
            return DROPPED
        kept += 1
        return event

    return apply


def _digest(value: object) -> bytes:
    if type(value) is float and value.is_integer():
        value = int(value)  # which JMESPath calls equal
    return blake2b(encode(_sorted(value)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _sorted(value: object) -> object:
    """The order of fields means nothing."""
    if type(value) is dict:
        return {name: _sorted(inner) for name, inner in sorted(value.items())}
    return [_sorted(inner) for inner in value] if type(value) is list else value
