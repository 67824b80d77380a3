"""The operator's deployment windows: cron schedules in time zones, read for planner/windows.py."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from gitopsd.daemon.configuration import WindowConfiguration
from gitopsd.model.amounts import seconds
from gitopsd.planner.windows import Window

_FIELDS = 5
_ANY_TIME = datetime(2026, 1, 1)  # noqa: DTZ001 - only whether the schedule can be read is asked


def read_windows(configured: Sequence[WindowConfiguration]) -> tuple[Window, ...]:
    """In their order. They were checked when the configuration was read."""
    return tuple(
        Window(
            kind=window.kind,
            label=f"`{window.kind} {window.schedule}` for {window.duration} ({window.time_zone})",
            duration=seconds(window.duration),
            starts=_starts(window.schedule, ZoneInfo(window.time_zone)),
            environments=frozenset(window.environments),
            groups=frozenset(window.groups),
        )
        for window in configured
    )


def schedule_problem(text: str) -> str:
    """Why this is no schedule, in a few words; empty where it is one."""
    fields = len(text.split())
    if fields != _FIELDS:
        return f"it has {fields} field{'' if fields == 1 else 's'} instead of {_FIELDS}"
    try:
        next(CronSim(text, _ANY_TIME))
    except CronSimError as error:
        return str(error).replace("Bad ", "its part for the ", 1) + " can't be read"
    except StopIteration:
        return "it never comes"
    return ""


def is_time_zone(name: str) -> bool:
    """Whether it is one of the IANA's, such as `Europe/Berlin`."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as `Europe`
        return False
    return True


def _starts(schedule: str, zone: ZoneInfo) -> Callable[[float], Iterator[float]]:
    def after(moment: float) -> Iterator[float]:
        for start in CronSim(schedule, datetime.fromtimestamp(moment, zone)):
            yield start.timestamp()

    return after
