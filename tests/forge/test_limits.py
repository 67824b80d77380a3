from email.utils import formatdate

import pytest

from gitopsd.forge.limits import LONGEST, SECONDARY, asked_to_wait, exhausted, until_reset

NOW = 1_800_000_000
DATE = formatdate(NOW, usegmt=True)
"""The forge's clock, which needn't be ours."""


@pytest.mark.parametrize(
    ("status", "headers", "content", "seconds"),
    [
        (404, {"retry-after": "5"}, b"", None),
        (403, {}, b'{"message": "you may not"}', None),
        (403, {"retry-after": "5"}, b"", 5),
        (503, {"retry-after": "7"}, b"", 7),
        (503, {}, b"rate limit", None),
        (429, {}, b"", SECONDARY),
        (429, {"retry-after": formatdate(NOW + 90, usegmt=True), "date": DATE}, b"", 90),
        (429, {"retry-after": formatdate(NOW - 90, usegmt=True), "date": DATE}, b"", 0),
        (429, {"retry-after": "-1"}, b"", SECONDARY),
        (429, {"retry-after": "tomorrow"}, b"", SECONDARY),
        (429, {"retry-after": "9" * 12}, b"", LONGEST),
        (429, {"retry-after": "9" * 40}, b"", SECONDARY),
        (403, {}, b'{"message": "You have exceeded a secondary rate limit"}', SECONDARY),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 600), "date": DATE}, b"", 601),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW - 600), "date": DATE}, b"", 1),
        (403, {"x-ratelimit-remaining": "7", "x-ratelimit-reset": str(NOW + 600), "date": DATE}, b"", None),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": str(NOW + 30), "date": DATE}, b"", 31),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, b"", None),
    ],
)
def test_what_a_forge_says_becomes_a_wait(
    status: int, headers: dict[str, str], content: bytes, seconds: float | None
) -> None:
    assert asked_to_wait(status, headers, content) == seconds


def test_a_window_is_used_up_only_where_its_end_is_known() -> None:
    assert exhausted({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"})
    assert not exhausted({"x-ratelimit-remaining": "0"})
    assert not exhausted({})
    assert until_reset({"x-ratelimit-reset": str(10**14), "date": DATE}) == LONGEST
