"""Where a part of a scalar stands in its file, however the scalar is written."""

import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    FoldedScalarString,
    LiteralScalarString,
    PlainScalarString,
    SingleQuotedScalarString,
)

from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.model.diagnostic import Location

MARK = "@@"


def read(text: str) -> Document:
    document, mistakes = read_yaml("a.yaml", text.encode())
    assert not mistakes
    return document


def marked(document: Document, *pointer: str | int) -> Location:
    value = document.value
    for part in pointer:
        value = value[part]
    start = value.index(MARK)
    return document.locate_within(pointer, start, start + len(MARK))


@pytest.mark.parametrize(
    "text",
    [
        "a: x @@ y",
        "a: x\n  y\n\n\n  @@ z",
        "a: 'it''s\n  ''@@'''",
        r'a: "\x41\t\u00e9\U0001F600 @@ \""',
        'a: "x\\\n   \\ y\\\n\n  @@"',
        'a: "x  \n\n   @@"',
        "a: |\n  x\n\n   @@ y\n  z\n",
        "a: |-\n\n\n  @@",
        "a: |2+\n     x\n  @@\n\n",
        "a: >\n  x\n  y\n\n  @@ z\n",
        "a: >-\n  x\n    y\n  z\n\n\n    k\n\n  l\n  @@",
        "a: >\n\n   x\n   @@\n\n\n",
        "a: | # comment\n  é @@\n",
        "a: [1, x @@]",
        "a: {b: 'c', d: '@@'}",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_part_of_a_value_is_found_in_its_file(text: str, line_end: str) -> None:
    document = read("\ufeff# first\n" + text.replace("\n", line_end))
    pointer: tuple[str | int, ...] = ("a", 1) if "[" in text else ("a", "d") if "{" in text else ("a",)
    place = marked(document, *pointer)
    lines = f"# first\n{text}".split("\n")
    line = next(number for number, line in enumerate(lines, 1) if MARK in line)
    column = lines[line - 1].index(MARK) + 1
    assert place == Location(path="a.yaml", line=line, column=column, end_line=line, end_column=column + 2)


def test_an_escape_is_shown_whole() -> None:
    document = read(r'a: "x\u00e9y"')
    assert document.locate_within(("a",), 1, 2).column == 6
    assert document.locate_within(("a",), 1, 2).end_column == 12


@pytest.mark.parametrize(("start", "end"), [(0, 0), (2, 1), (0, 99), (-1, 1)])
def test_what_is_no_part_falls_back_to_the_whole_value(start: int, end: int) -> None:
    document = read("a: xyz\nb: [1]")
    assert document.locate_within(("a",), start, end) == document.locate("a")
    assert document.locate_within(("b",), start, end) == document.locate("b")
    assert document.locate_within(("gone", "far"), start, end) == document.locate()


WORDS = st.lists(
    st.sampled_from(["a", "bb", "é", " ", "  ", "\n", "\n\n", "'", '"', "\\", "x: y", "#", "\t"]), max_size=12
)
STYLES = st.sampled_from(
    [
        PlainScalarString, SingleQuotedScalarString, DoubleQuotedScalarString, LiteralScalarString, FoldedScalarString,
    ]
)  # fmt: skip


@given(before=WORDS, after=WORDS, style=STYLES, width=st.integers(4, 30))
def test_the_place_of_a_part_is_right_in_whatever_style_and_width(
    before: list[str], after: list[str], style: type[str], width: int
) -> None:
    emitter = YAML()
    emitter.width = width
    written = io.StringIO()
    emitter.dump({"k": {"a": style("".join([*before, MARK, *after]))}}, written)
    document, mistakes = read_yaml("a.yaml", written.getvalue().encode())
    assume(not mistakes)  # the emitter gives a literal that starts with a tab no indentation
    assume(MARK in document.value["k"]["a"])
    place = marked(document, "k", "a")
    line = written.getvalue().split("\n")[place.line - 1]
    assert line[place.column - 1 : place.end_column - 1] == MARK
