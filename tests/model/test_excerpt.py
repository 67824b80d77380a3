import pytest

from gitopsd.model.diagnostic import Diagnostic, Location, Related, Severity, has_errors, in_order
from gitopsd.model.excerpt import format_diagnostic, format_diagnostics, printable


def mistake(*, line: int = 1, column: int = 1, end: int = 2, path: str = "a.yaml", **other: object) -> Diagnostic:
    location = Location(path=path, line=line, column=column, end_line=line, end_column=end)
    return Diagnostic(code="wrong", message="it is wrong", location=location, **other)  # type: ignore[arg-type] # only in tests


def excerpt(diagnostic: Diagnostic, source: bytes) -> list[str]:
    return format_diagnostic(diagnostic, {"a.yaml": source}).splitlines()


def test_the_caret_stands_under_what_is_wrong() -> None:
    assert excerpt(mistake(line=2, column=4, end=7), b"a: 1\nb: two # why\n") == [
        "error[wrong]: it is wrong",
        "  --> a.yaml:2:4",
        "    |",
        "  2 | b: two # why",
        "    |    ^^^",
    ]


def test_related_places_and_the_hint_follow() -> None:
    first = Related(message="it began here", location=mistake().location)
    lines = excerpt(mistake(line=2, related=(first,), hint="stop it"), b"a: 1\nb: 2\n")
    assert lines[5:] == [
        "  note: it began here",
        "  --> a.yaml:1:1",
        "    |",
        "  1 | a: 1",
        "    | ^",
        "  hint: stop it",
    ]


def test_a_file_that_is_not_there_is_named_without_an_excerpt() -> None:
    assert format_diagnostic(mistake(), {}) == "error[wrong]: it is wrong\n  --> a.yaml:1:1"


def test_a_line_that_is_not_there_is_passed_over() -> None:
    assert len(excerpt(mistake(line=9), b"a: 1\n")) == 2


def test_a_byte_order_mark_and_line_ends_of_any_kind_move_nothing() -> None:
    for source in (b"\xef\xbb\xbfa: 1\nb: 2\n", b"a: 1\r\nb: 2\r\n", b"a: 1\rb: 2\r"):
        assert excerpt(mistake(line=2, column=4, end=5), source)[3:] == ["  2 | b: 2", "    |    ^"]


def test_characters_that_do_not_print_are_escaped_and_the_caret_moves_along() -> None:
    lines = excerpt(mistake(column=3, end=4), b"\x1b[31m")
    assert lines[3:] == ["  1 | \\x1b[31m", "    |      ^"]
    assert printable("a\nb\u202e") == "a\\nb\\u202e"


def test_a_wide_line_is_shown_around_the_caret() -> None:
    lines = excerpt(mistake(column=5001, end=5003), b"x" * 5000 + b"yz" + b"x" * 5000)
    assert len(lines[3]) < 200
    marked = lines[3][lines[4].index("^") : lines[4].rindex("^") + 1]
    assert marked == "yz"


def test_what_ends_on_another_line_is_marked_to_the_end_of_its_first() -> None:
    location = Location(path="a.yaml", line=1, column=4, end_line=3, end_column=2)
    lines = excerpt(Diagnostic(code="wrong", message="it", location=location), b"a: |\n  b\n  c\n")
    assert lines[4] == "    |    ^"


def test_a_tab_counts_as_one_column() -> None:
    assert excerpt(mistake(column=2, end=3), b"\ta: 1\n")[3:] == ["  1 |  a: 1", "    |  ^"]


def test_diagnostics_come_by_place_without_repeats() -> None:
    later, earlier = mistake(line=3), mistake(line=2, path="A.yaml")
    assert in_order([later, earlier, later]) == (earlier, later)
    assert format_diagnostics([], {}) == ""
    assert format_diagnostics([earlier, later], {}).count("\n\n") == 1


def test_a_warning_is_no_error() -> None:
    assert not has_errors((mistake(severity=Severity.WARNING),))
    assert has_errors((mistake(), mistake(severity=Severity.WARNING)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::pwn", r"\x3a:error::pwn"),
        ("   ::set-output name=approved::true", r"   \x3a:set-output name=approved::true"),
        ("a ##[set-output name=x]y", r"a ##\x5bset-output name=x]y"),
        ("std::vector [1] # 2", "std::vector [1] # 2"),
    ],
)
def test_what_a_ci_service_would_take_for_a_command_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
