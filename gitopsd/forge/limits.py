"""How long a forge wants to be left alone, by what it answered.

GitHub: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api and, for the secondary limits,
best-practices-for-using-the-rest-api. GitLab: RateLimit-* and Retry-After. Gitea: whatever stands before it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 2 * 3600.0
"""Seconds. GitHub's window is an hour; who asks for more has a broken clock."""

SECONDARY = 60.0
"""Seconds that GitHub asks for where it doesn't say how long."""

_REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining")
_RESET = ("x-ratelimit-reset", "ratelimit-reset")


def asked_to_wait(status: int, headers: Mapping[str, str], content: bytes) -> float | None:
    """Seconds to stay away for; None where it was no matter of too many requests."""
    if status not in {403, 429, 503}:
        return None
    after = retry_after(headers)
    if after is not None:
        return after
    if status == 503:
        return None
    if exhausted(headers):
        return until_reset(headers)
    if status == 429 or b"rate limit" in content[:2000].lower():
        return SECONDARY
    return None


def exhausted(headers: Mapping[str, str]) -> bool:
    """Whether that was the last request of this window."""
    return _first(headers, _REMAINING) == "0" and _number(_first(headers, _RESET)) is not None


def remaining(headers: Mapping[str, str]) -> int | None:
    """How many more requests of this window there are; None where the forge doesn't say."""
    number = _number(_first(headers, _REMAINING))
    return None if number is None else int(number)


def until_reset(headers: Mapping[str, str]) -> float:
    """Seconds until the window ends, by the forge's own clock where it says what that shows, with one to spare."""
    reset = _number(_first(headers, _RESET))
    if reset is None:
        return SECONDARY
    return min(max(0.0, reset - _server_time(headers)) + 1.0, LONGEST)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After`, which is a number or a date (RFC 9110, 10.2.3); None where there is none to be read."""
    text = headers.get("retry-after", "").strip()
    number = _number(text)
    if number is not None:
        return min(number, LONGEST)
    moment = _date(text)
    return None if moment is None else min(max(0.0, moment - _server_time(headers)), LONGEST)


def _server_time(headers: Mapping[str, str]) -> float:
    date = _date(headers.get("date", ""))
    return datetime.now(UTC).timestamp() if date is None else date


def _date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((headers[name].strip() for name in names if name in headers), "")
