"""The operator's deployment windows, read for planner/windows.py."""

from collections.abc import Sequence

from gitopsd.daemon.configuration.configuration import WindowConfiguration
from gitopsd.daemon.configuration.schedules import starts_of
from gitopsd.model.amounts import seconds
from gitopsd.planner.windows import Window


def read_windows(configured: Sequence[WindowConfiguration]) -> tuple[Window, ...]:
    """In their order. They were checked when the configuration was read."""
    return tuple(
        Window(
            kind=window.kind,
            label=f"`{window.kind} {window.schedule}` for {window.duration} ({window.time_zone})",
            duration=seconds(window.duration),
            starts=starts_of(window.schedule, window.time_zone),
            environments=frozenset(window.environments),
            groups=frozenset(window.groups),
        )
        for window in configured
    )
