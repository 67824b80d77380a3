import pytest

from gitopsd.model.amounts import at_least, at_most, seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("0s", 0.0), ("250ms", 0.25), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_durations_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "10", "s", "1.s", "-1s", "1w", "1s\n", "1..5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("amount", "whole", "most", "least"),
    [(3, 10, 3, 3), (30, 10, 10, 10), ("25%", 10, 2, 3), ("10%", 5, 0, 1), ("0%", 5, 0, 0), ("100%", 7, 7, 7)],
)
def test_shares_of_a_group(amount: int | str, whole: int, most: int, least: int) -> None:
    assert at_most(amount, whole) == most
    assert at_least(amount, whole) == least


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="no share"):
        at_most("120%", 5)
