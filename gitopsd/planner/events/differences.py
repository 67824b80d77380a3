"""Which events of tests come out differently in another version."""

from msgspec import Struct

from gitopsd.compiler.event_tests import EventCase
from gitopsd.model.event_match import changes
from gitopsd.planner.events.flow import come_of, has_transforms, is_transform

NAMES = ("deployed", "this version")


class EventDifference(Struct, frozen=True, kw_only=True):
    """One port or channel of one test. `place` is file:line:column; `lines` those of a unified difference."""

    test: str
    place: str
    of: str
    port: str
    lines: tuple[str, ...]


class EventChanges(Struct, frozen=True, kw_only=True):
    """`compared`: so many tests. `unknown` says why there may be more differences; empty where all were looked at."""

    differences: tuple[EventDifference, ...] = ()
    compared: int = 0
    unknown: str = ""


NOTHING = EventChanges()


def event_differences(before: EventCase, after: EventCase) -> tuple[EventDifference, ...] | None:
    """One test, bound to two versions; None where nothing that both have can be told. Raises the runner's JobError."""
    names = {channel.label: channel.name for channel in before.run.channels.values()}
    if _transforms(before) == _transforms(after):
        return () if has_transforms(after) else None
    old, new = come_of(before), come_of(after)
    known = [one for one in after.run.channels.values() if one.name in new and names.get(one.label) in old]
    found = [(one.label, changes(old[names[one.label]], new[one.name], NAMES)) for one in known]
    if not found:
        return None
    return tuple(
        EventDifference(test=after.name, place=str(after.place), of=after.run.name, port=label, lines=tuple(lines))
        for label, lines in found
        if lines
    )


def _transforms(case: EventCase) -> list[object]:
    """All that what transforms make of the test's events follows from."""
    steps = [(step.name, step.document["runner"]) for step in case.run.steps if is_transform(step)]
    return [sorted(case.given), steps, [(step.name, step.way) for step in case.run.steps]]
