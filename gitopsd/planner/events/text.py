"""Differences of events as lines for a terminal."""

from collections.abc import Iterator

from gitopsd.planner.events.differences import EventChanges

_MOST_LINES = 30
_MOST = 20


def event_lines(changes: EventChanges) -> Iterator[str]:
    """Nothing where no test was looked at. Text of the repository is as it is: the caller makes it safe."""
    found, compared = changes.differences, changes.compared
    if found:
        yield "Events of tests come out differently:"
    elif compared:
        tests = "1 test" if compared == 1 else f"{compared} tests"
        yield f"The events of {tests} about what changes come out as before, as far as transforms tell."
    for one in found[:_MOST]:
        yield f"  `{one.port}` of {one.of}, {one.place}: {one.test}"
        yield from (f"      {line}" for line in one.lines[:_MOST_LINES])
        if len(one.lines) > _MOST_LINES:
            yield f"      … {len(one.lines) - _MOST_LINES} more lines: see `--format json`"
    if len(found) > _MOST:
        yield f"  … and {len(found) - _MOST} more: see `--format json`"
    if changes.unknown:
        yield f"Not all events of tests were compared: {changes.unknown}."
