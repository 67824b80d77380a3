import difflib
import time

from hypothesis import given
from hypothesis import strategies as st

from gitopsd.planner.plan.text_diff import text_diff

TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=8).map("".join)


@given(before=TEXTS, after=TEXTS)
def test_the_difference_is_what_difflib_says(before: str, after: str) -> None:
    """Files that come or go don't pass through difflib; the result must be the same."""
    expected = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/x", "b/x")
    assert text_diff("x", before.encode(), after.encode()) == "".join(expected)


def test_a_last_line_without_an_end_gets_one() -> None:
    assert text_diff("x", b"a", b"b") == "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    assert text_diff("/etc/x", b"a", b"b").startswith("--- a/etc/x\n+++ b/etc/x\n")


def test_what_is_not_text_is_only_said_to_differ() -> None:
    assert "not text" in text_diff("x", b"\xff", b"a")


def test_a_very_long_file_is_not_compared() -> None:
    start = time.process_time()
    assert "too long to compare" in text_diff("x", b"a\n" * 500_000, b"b\n" * 500_000)
    assert time.process_time() - start < 2


def test_a_small_change_in_a_long_file_is_shown_at_its_line() -> None:
    before = [f"{number}\n" for number in range(10_000)]
    after = [*before[:7_000], "new\n", *before[7_000:]]
    expected = "".join(difflib.unified_diff(before, after, "a/x", "b/x"))
    assert text_diff("x", "".join(before).encode(), "".join(after).encode()) == expected


def test_long_files_that_differ_in_every_other_line_are_not_compared() -> None:
    before, after = ("".join(f"{number}\n{side}{number}\n" for number in range(5_000)) for side in "xy")
    assert "10,000 lines before, 10,000 after" in text_diff("x", before.encode(), after.encode())
