"""Whether events are those that were expected."""

from typing import Any

import pytest

from gitopsd.model.event_match import MAX_LINES, differences
from gitopsd.model.event_tests import Expected


def exactly(*events: Any, ordered: bool = True) -> Expected:
    return Expected(exactly=list(events), ordered=ordered)


@pytest.mark.parametrize(
    ("expected", "came"),
    [
        (exactly(), []),
        (exactly({"a": 1, "b": [1.0, None]}), [b'{"b":[1,null],"a":1.0}']),
        (exactly(1, 2, ordered=False), [b"2", b"1"]),
        (Expected(contains=[{"a": {"b": 1}}]), [b"x", b'{"a":{"b":1,"c":2},"d":3}']),
        (Expected(contains=[{}, {"a": 1}]), [b'{"a":1}', b'{"b":1}']),
        (Expected(count=2), [b"1", b"x"]),
    ],
)
def test_events_that_are_as_expected_differ_in_nothing(expected: Expected, came: list[bytes]) -> None:
    assert differences(expected, came) == []


@pytest.mark.parametrize(
    ("expected", "came"),
    [
        (exactly(), [b"1"]),
        (exactly(1, 2), [b"2", b"1"]),
        (exactly(1), [b"true"]),
        (exactly(1), [b'"1"']),
        (exactly({"a": 1}), [b'{"a":1,"b":2}']),
        (exactly("x"), [b"x"]),
        (exactly(2**60), [b"%d.5" % 2**60]),
        (Expected(contains=[{"a": True}]), [b'{"a":1}']),
        (Expected(contains=[{"a": 1}, {"a": 1}]), [b'{"a":1}']),
        (Expected(contains=[[1]]), [b"[1,2]"]),
        (Expected(count=1), []),
    ],
)
def test_events_that_are_not_as_expected_differ(expected: Expected, came: list[bytes]) -> None:
    assert differences(expected, came)


def test_what_is_missing_is_named_beside_what_came_instead() -> None:
    assert differences(Expected(contains=[{"a": 1}, {"b": 2}]), [b'{"b":2,"c":3}', b"x"]) == [
        "--- expected among them", "+++ came", '-{"a": 1}', "+x",
    ]  # fmt: skip


def test_of_many_events_the_first_that_differ_are_shown() -> None:
    came = [b"%d" % number for number in range(5_000)]
    shown = differences(exactly(*range(4_000), -1, *range(4_001, 5_000)), came)
    assert "--1" in shown
    assert "+4000" in shown
    assert len(shown) < MAX_LINES
