"""Whether the events that came are those that were expected, and if not, what differs, as lines for people."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UnsetType

from gitopsd.model.event_tests import Expected

MAX_LINES = 200
"""Of a difference; more can't be read, and finding it costs the square of what is compared."""

_CONTEXT = 2


def differences(expected: Expected, came: Sequence[bytes]) -> list[str]:
    """Lines of a unified difference, or a sentence; none where the events are as they should be."""
    if not isinstance(expected.exactly, UnsetType):
        wanted = [_line(msgspec.json.encode(event)) for event in expected.exactly]
        found = [_line(event) for event in came]
        return _difference(wanted, found) if expected.ordered else _difference(sorted(wanted), sorted(found))
    if not isinstance(expected.contains, UnsetType):
        return _missing(expected.contains, came)
    if expected.count != len(came):
        return [f"{expected.count} expected, and {len(came)} came"]
    return []


def changes(before: Sequence[bytes], after: Sequence[bytes], names: tuple[str, str]) -> list[str]:
    """Lines of a unified difference of two lists of events; none where they are the same."""
    return _difference([_line(event) for event in before], [_line(event) for event in after], names)


def _difference(wanted: list[str], found: list[str], names: tuple[str, str] = ("expected", "came")) -> list[str]:
    if wanted == found:
        return []
    start = next((at for at, pair in enumerate(zip(wanted, found, strict=False)) if pair[0] != pair[1]), 0)
    if max(len(wanted), len(found)) > MAX_LINES:  # from the first one that differs
        wanted, found = wanted[start : start + MAX_LINES], found[start : start + MAX_LINES]
    lines = list(difflib.unified_diff(wanted, found, *names, n=_CONTEXT, lineterm=""))
    return lines or [f"{len(wanted)} expected, and {len(found)} came"]


def _missing(wanted: Sequence[Any], came: Sequence[bytes]) -> list[str]:
    """Each wanted event takes one that came, and makes room for another where it can take a different one."""
    values = [_value(event) for event in came]
    needed = [_value(msgspec.json.encode(event)) for event in wanted]
    taken: dict[int, int] = {}

    def place(index: int, tried: set[int]) -> bool:
        for at, value in enumerate(values):
            if at not in tried and _holds(value, needed[index]):
                tried.add(at)
                if at not in taken or place(taken[at], tried):
                    taken[at] = index
                    return True
        return False

    missing = [index for index in range(len(wanted)) if not place(index, set())]
    if not missing:
        return []
    lines = ["--- expected among them", "+++ came"]
    lines += [f"-{_line(msgspec.json.encode(wanted[index]))}" for index in missing]
    lines += [f"+{_line(event)}" for at, event in enumerate(came) if at not in taken]
    return lines[:MAX_LINES]


def _holds(value: Any, wanted: Any) -> bool:
    """Whether an event has all that is wanted of it."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(key in value and _holds(value[key], wanted[key]) for key in wanted)
    if isinstance(value, bool) != isinstance(wanted, bool):
        return False  # for Python, true is 1
    return bool(value == wanted)


def _line(event: bytes) -> str:
    """One spelling for all that is the same JSON: sorted keys, and 1.0 is 1. What isn't JSON stays as it is."""
    value = _value(event)
    if isinstance(value, _NotJson):
        return value.text
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


class _NotJson:
    """An event that isn't JSON: equal to nothing that can be written in YAML."""

    def __init__(self, text: str) -> None:
        self.text = text


def _value(event: bytes) -> Any:
    try:
        return json.loads(event, parse_float=_number)
    except (ValueError, RecursionError):
        return _NotJson(event.decode(errors="replace"))


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
