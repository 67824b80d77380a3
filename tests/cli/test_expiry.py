"""When something ends, as people write it."""

from datetime import UTC, datetime

import click
import pytest

from gitopsd.cli.expiry import expiry

NOW = datetime(2026, 4, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "until", "end"),
    [
        (None, None, ""),
        ("90s", None, "2026-04-30T12:01:30Z"),
        ("1d12h", None, "2026-05-02T00:00:00Z"),
        ("2h30m", None, "2026-04-30T14:30:00Z"),
        (None, "2026-05-01", "2026-05-01T00:00:00Z"),
        (None, "2026-05-01T08:00", "2026-05-01T08:00:00Z"),
        (None, "2026-05-01T08:00Z", "2026-05-01T08:00:00Z"),
        (None, "2026-05-01T08:00+02:00", "2026-05-01T06:00:00Z"),
    ],
)
def test_an_end_is_a_moment_in_utc(duration: str | None, until: str | None, end: str) -> None:
    assert expiry(duration, until, NOW) == end


@pytest.mark.parametrize(
    ("duration", "until", "said"),
    [
        ("soon", None, "such as 30m"),
        ("", None, "such as 30m"),
        ("5", None, "such as 30m"),
        ("-5m", None, "such as 30m"),
        ("0s", None, "is over already"),
        ("99999d", None, "ten years"),
        (None, "tomorrow", "--until takes a time"),
        (None, "", "--until takes a time"),
        (None, "2026-04-30T12:00Z", "is over already"),
        (None, "9999-12-31T23:59-12:00", "ten years"),
        (None, "0001-01-01T00:00+14:00", "is over already"),
        ("1h", "2999-01-01", "say the same thing"),
    ],
)
def test_what_is_no_end_is_refused(duration: str | None, until: str | None, said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        expiry(duration, until, NOW)
