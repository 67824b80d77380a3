"""Deployment windows: cron in time zones, over changes of daylight saving time too, and what they hold until when."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.daemon.configuration.configuration import WindowConfiguration
from gitopsd.daemon.configuration.windows import read_windows
from gitopsd.planner.windows import Closed, closed, matching

WORK = "0 8 * * 1-5"


def window(kind: Literal["allow", "deny"], schedule: str, duration: str, **other: Any) -> WindowConfiguration:
    return WindowConfiguration(kind=kind, schedule=schedule, duration=duration, **other)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def until(windows: Sequence[WindowConfiguration], now: str) -> str | None:
    """When they hold no longer, in UTC; None where they hold nothing, `never` where no end can be told."""
    found = closed(read_windows(windows), at(now))
    if found is None:
        return None
    return "never" if found.until is None else f"{datetime.fromtimestamp(found.until, UTC):%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-05T06:59", None),  # a Monday; Berlin is an hour ahead
        ("2026-01-05T07:00", "2026-01-05T17:00"),
        ("2026-01-05T16:59:59", "2026-01-05T17:00"),
        ("2026-01-05T17:00", None),
        ("2026-01-10T12:00", None),  # a Saturday
        ("2026-07-06T06:00", "2026-07-06T16:00"),  # two hours ahead
    ],
)
def test_a_deny_window_holds_from_its_start_to_its_end_in_its_own_zone(now: str, expected: str | None) -> None:
    assert until([window("deny", WORK, "10h", time_zone="Europe/Berlin")], now) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-05T12:00", "2026-01-05T22:00"),
        ("2026-01-05T22:00", None),
        ("2026-01-06T03:59", None),
        ("2026-01-06T04:00", "2026-01-06T22:00"),
    ],
)
def test_where_there_are_allow_windows_one_must_be_open(now: str, expected: str | None) -> None:
    assert until([window("allow", "0 22 * * *", "6h"), window("allow", "0 3 * * *", "1h")], now) == expected


def test_a_deny_window_counts_more_than_an_allow_window() -> None:
    both = [window("allow", "0 22 * * *", "6h"), window("deny", "0 23 * * *", "30m")]
    assert until(both, "2026-01-05T22:30") is None
    assert until(both, "2026-01-05T23:10") == "2026-01-05T23:30"
    assert until([*both, window("deny", "0 22 * * *", "4h")], "2026-01-05T12:00") == "2026-01-06T02:00"


def test_windows_one_after_the_other_hold_until_the_last_of_them_ends() -> None:
    days = [window("deny", "0 0 * * 6", "24h"), window("deny", "0 0 * * 0", "24h"), window("deny", "0 22 * * 5", "3h")]
    assert until(days, "2026-01-09T23:00") == "2026-01-12T00:00"
    assert until([window("deny", "0 0 * * 6,7", "30h")], "2026-01-10T01:00") == "2026-01-12T06:00"


def test_a_window_that_never_closes_says_no_time() -> None:
    assert until([window("deny", "*/10 * * * *", "1h")], "2026-01-05T12:00") == "never"
    assert until([window("allow", "0 0 * * *", "1h"), window("deny", "0 0 * * *", "1d")], "2026-01-05T12:00") == "never"


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        # 2026-03-29 in Berlin: 02:00 is followed by 03:00, which is 01:00 in UTC
        ("30 2 * * *", "2026-03-29T00:59", None),
        ("30 2 * * *", "2026-03-29T01:00", "2026-03-29T02:00"),  # what was skipped comes right after
        ("30 2 * * *", "2026-03-30T00:30", "2026-03-30T01:30"),
        ("0 1 * * *", "2026-03-29T00:30", "2026-03-29T01:00"),  # an hour is an hour: until 03:00
        ("0 * * * *", "2026-03-29T01:30", "never"),
        # 2026-10-25: 03:00 is followed by 02:00 once more, which is 01:00 in UTC
        ("30 2 * * *", "2026-10-25T00:29", None),
        ("30 2 * * *", "2026-10-25T00:30", "2026-10-25T01:30"),  # in the first of the two hours
        ("30 2 * * *", "2026-10-25T01:30", None),  # and not in the second
        ("30 2 * * *", "2026-10-26T01:30", "2026-10-26T02:30"),
        ("30 1 * * *", "2026-10-25T00:00", "2026-10-25T00:30"),
    ],
)
def test_changes_of_daylight_saving_time(schedule: str, now: str, expected: str | None) -> None:
    assert until([window("deny", schedule, "1h", time_zone="Europe/Berlin")], now) == expected


def test_windows_are_about_their_environments_and_groups() -> None:
    windows = read_windows(
        [
            window("deny", WORK, "1h"),
            window("deny", WORK, "2h", environments=("production",)),
            window("deny", WORK, "3h", groups=("core",)),
        ]
    )
    assert matching(windows, "staging", {"edge"}) == windows[:1]
    assert matching(windows, "production", {"edge", "core"}) == windows
    assert matching(windows, "production", {"edge"}) == windows[:2]
    assert matching(windows, "production", None) == windows, "which groups it is about isn't known yet"


def test_the_reason_names_the_window() -> None:
    found = closed(read_windows([window("deny", WORK, "10h", time_zone="Europe/Berlin")]), at("2026-01-05T12:00"))
    assert found is not None
    assert found.reason == "the window `deny 0 8 * * 1-5` for 10h (Europe/Berlin)"
    found = closed(read_windows([window("allow", "0 22 * * *", "6h")]), at("2026-01-05T12:00"))
    assert found is not None
    assert found.reason == "being outside of the window `allow 0 22 * * *` for 6h (UTC)"


WINDOWS = st.lists(
    st.builds(
        window,
        st.sampled_from(["allow", "deny"]),
        st.sampled_from([WORK, "30 2 * * *", "0 */6 * * *", "0 0 1 * *", "15 23 * * 0"]),
        st.sampled_from(["30m", "3h", "26h"]),
        time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    ),
    max_size=4,
)


@given(windows=WINDOWS, now=st.integers(int(at("2026-01-01T00:00")), int(at("2027-01-01T00:00"))))
def test_what_holds_now_holds_until_the_time_that_is_said_and_no_longer(
    windows: list[WindowConfiguration], now: int
) -> None:
    read = read_windows(windows)
    found = closed(read, now)
    if found is not None and found.until is not None:
        assert found.until > now
        assert closed(read, found.until) is None
        assert isinstance(closed(read, found.until - 1), Closed)
