"""Which events of tests come out differently in another version."""

from collections.abc import Iterator

from msgspec import Struct

from gitopsd.compiler.event_tests import EventCase
from gitopsd.model.event_match import changes
from gitopsd.planner.events.flow import come_of, is_transform

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


def event_differences(before: EventCase, after: EventCase) -> Iterator[EventDifference]:
    """One test, bound to two versions; nothing where no transform of it differs. Raises the runner's JobError."""
    if _transforms(before) == _transforms(after):
        return
    old, new = come_of(before), come_of(after)
    labels = {channel.label: channel.name for channel in before.run.channels.values()}
    for channel in after.run.channels.values():
        earlier = labels.get(channel.label)
        if earlier is not None and earlier in old and channel.name in new:
            lines = changes(old[earlier], new[channel.name], NAMES)
            if lines:
                yield EventDifference(
                    test=after.name,
                    place=str(after.place),
                    of=after.run.name,
                    port=channel.label,
                    lines=tuple(lines),
                )


def _transforms(case: EventCase) -> list[object]:
    """All that what transforms make of the test's events follows from."""
    steps = [(step.name, step.document["runner"]) for step in case.run.steps if is_transform(step)]
    return [sorted(case.given), steps, [(step.name, step.way) for step in case.run.steps]]
