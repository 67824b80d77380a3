"""Cron schedules in time zones."""

from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = 5
_ANY_TIME = datetime(2026, 1, 1)  # noqa: DTZ001 - only whether the schedule can be read is asked


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
        return "no day is like that"
    return ""


def is_time_zone(name: str) -> bool:
    """Whether it is one of the IANA's, such as `Europe/Berlin`."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a folder of zones, such as `Europe`
        return False
    return True


def starts_of(schedule: str, time_zone: str) -> Callable[[float], Iterator[float]]:
    """From a time, in seconds since the epoch, to the times after it that the schedule names, in order.

    As Debian's cron has it, a time in the hour that is skipped comes right after it, and one in the hour that comes
    twice comes in the first; but for a minute or hour that begins with `*`, which is each one that there is.
    """
    zone = ZoneInfo(time_zone)

    def after(moment: float) -> Iterator[float]:
        for start in CronSim(schedule, datetime.fromtimestamp(moment, zone)):
            yield start.timestamp()

    return after
