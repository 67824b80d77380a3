"""`--for` and `--until`: when something that was decided ends."""

import re
from datetime import UTC, datetime, timedelta

import click

from gitopsd.daemon.artifacts.control import moment

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,5})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?")
_LONGEST = timedelta(days=3660)


def expiry(duration: str | None, until: str | None, now: datetime) -> str:
    """A Moment, or empty where neither was given. Raises UsageError for what is over already, or can't be read."""
    if duration is not None and until is not None:
        raise click.UsageError("--for and --until say the same thing: give one of them")
    if duration is not None:
        return _checked(now + _length(duration), duration, now)
    return _checked(_time(until), until, now) if until is not None else ""


def _length(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.UsageError(f"--for takes a duration such as 30m, 8h, 2d or 1d12h, not {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _time(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"--until takes a time such as 2026-05-01T08:00Z or 2026-05-01T08:00+02:00, not {text!r}"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _checked(end: datetime, written: str, now: datetime) -> str:
    if end <= now:
        raise click.UsageError(f"{written} is over already: it is {moment(now)}")
    if end - now > _LONGEST:
        raise click.UsageError(f"{written} is more than ten years away: leave it out for what nobody wants to end")
    return moment(end)
