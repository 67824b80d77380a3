"""`parse` with `format: timestamp`: a time as somebody wrote it becomes ISO 8601 in UTC, or seconds since 1970."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Callable

from gitopsd.runner.errors import JobError

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

RFC3339 = "rfc3339"
_EPOCHS = {"epoch": 1, "epoch-milliseconds": 1000}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DIRECTIVES = frozenset("aAbBdfHIjmMpSyYz%")
"""Of strptime, without those that depend on the worker's language, zone or version of Python."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}", re.ASCII)


def compile_timestamp(settings: Settings) -> Callable[[object], object]:
    """`pattern` of strptime, `rfc3339` (default), `epoch` or `epoch-milliseconds`; `zone` of times that name none.

    Raises JobError. The zone itself is looked up by `load_zone`, on the worker.
    """
    pattern, zone = settings.text("pattern", RFC3339), settings.text("zone", "UTC")
    write = _epoch if settings.choice("to", ("iso8601", "epoch")) == "epoch" else _iso
    if not _OFFSET.fullmatch(zone) and not _ZONE.fullmatch(zone):
        raise settings.wrong("zone", "the name of a time zone such as Europe/Berlin, or an offset such as +02:00")
    if pattern in _EPOCHS:
        units = _EPOCHS[pattern]
        return lambda value: write(_from_epoch(value, units))
    if pattern == RFC3339:
        return lambda value: write(_from_rfc3339(_text(value), zone))
    _check_pattern(pattern, settings)
    return lambda value: write(_aware(datetime.strptime(_text(value), pattern), zone))  # noqa: DTZ007 -- see _aware


@cache
def load_zone(name: str) -> tzinfo:
    """Raises JobError where this worker doesn't know the zone."""
    offset = _OFFSET.fullmatch(name)
    if offset:
        return _fixed(offset[1], offset[2], offset[3])
    if name == "UTC":
        return timezone.utc
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 -- costs its import at every start

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise JobError(
            f"this worker doesn't know the time zone {name}; correct it, or install the time zones (on Debian: tzdata)"
        ) from error


def _check_pattern(pattern: str, settings: Settings) -> None:
    used = re.findall(r"%(.?)", pattern, re.DOTALL)
    if not {"y", "Y"} & set(used):
        raise settings.wrong("pattern", "rfc3339, epoch, epoch-milliseconds, or a pattern with the year: %Y or %y")
    unknown = next((one for one in used if one not in _DIRECTIVES), None)
    if unknown is not None:
        raise JobError(
            f"{settings.where}.pattern has %{unknown}, which not every worker reads alike; use %Y-%m-%d, %H:%M:%S,"
            " %b, %f, %z and the like, and `zone` for times without an offset"
        )


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError("it is not a text")
    return value


def _from_epoch(value: object, units: int) -> datetime:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("it is not a number")  # noqa: TRY004 -- the event is wrong, not the call
    try:
        return _EPOCH + timedelta(seconds=float(value) / units)
    except OverflowError:
        raise ValueError("it is no time in the years 1 to 9999") from None


def _from_rfc3339(text: str, zone: str) -> datetime:
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is not a time as 2024-05-01T12:00:00Z is")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    moment = datetime(  # noqa: DTZ001 -- see _aware
        int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond
    )
    if not offset:
        return _aware(moment, zone)
    if offset in "Zz":
        return moment.replace(tzinfo=timezone.utc)
    return moment.replace(tzinfo=_fixed(offset[0], offset[1:3], offset[-2:]))


def _fixed(sign: str, hours: str, minutes: str) -> tzinfo:
    delta = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-delta if sign == "-" else delta)


def _aware(moment: datetime, zone: str) -> datetime:
    """A time that says no offset is one of `zone`; of two that a clock shows in autumn, the earlier."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=load_zone(zone))


def _iso(moment: datetime) -> object:
    try:
        text = moment.astimezone(timezone.utc).isoformat()
    except OverflowError:
        raise ValueError("it is no time in the years 1 to 9999") from None
    return text[: -len("+00:00")] + "Z"


def _epoch(moment: datetime) -> object:
    seconds = (moment - _EPOCH) / timedelta(seconds=1)
    return seconds if moment.microsecond else int(seconds)
