import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.yaml.reader import MAX_NODES, read_yaml
from gitopsd.model.diagnostic import Location


def value_of(text: str) -> object:
    document, mistakes = read_yaml("a.yaml", text.encode())
    assert not mistakes
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nUll", "nUll"),
        ("true", True),
        ("TRUE", True),
        ("yes", "yes"),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775807", 1 - 2**63),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("1:30", "1:30"),
        (".", "."),
        ("-", None),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("! 12", "12"),
        ('"a\\tb"', "a\tb"),
        ("a: b", {"a": "b"}),
        ("1: x", {"1": "x"}),
        ("null: x", {"null": "x"}),
        ("? a\n: b", {"a": "b"}),
        ("a:", {"a": None}),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">\n  a\n  b\n", "a b\n"),
        ("[a, [b], {c: d}]", ["a", ["b"], {"c": "d"}]),
        ("# only a comment\n", None),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    if text == "-":
        value = [None]
    result = value_of(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"a: \xff", "not-utf8"),
        (b"\xff\xfea\x00", "not-utf8"),
        (b"a: \x00", "yaml-character"),
        (b"a: \x1b[31m", "yaml-character"),
        ("a: \x85b".encode(), "yaml-character"),
        ("a\ufeffb: 1".encode(), "yaml-character"),
        (b"a: \x7f", "yaml-character"),
        (b"a: .inf", "yaml-number"),
        (b"a: -.INF", "yaml-number"),
        (b"a: .nan", "yaml-number"),
        (b"a: 1e999", "yaml-number"),
        (b"a: 9223372036854775808", "yaml-number"),
        (b"a: " + b"9" * 100_000, "yaml-number"),
        (b"a: 0x" + b"f" * 40, "yaml-number"),
        (b"a: &x 1\nb: *x", "yaml-alias"),
        (b"*x", "yaml-alias"),
        (b"&x a: 1", "yaml-alias"),
        (b"<<: {a: 1}", "yaml-merge-key"),
        (b"a: !!binary eA==", "yaml-tag"),
        (b"!!map {a: 1}", "yaml-tag"),
        (b"a: !custom x", "yaml-tag"),
        (b"{a: b}: c", "yaml-key"),
        (b"[a]: c", "yaml-key"),
        (b"a: 1\n---\nb: 2", "yaml-several-documents"),
        (b"a: [", "yaml-syntax"),
        (b"a: b: c", "yaml-syntax"),
        (b"\ta: b", "yaml-syntax"),
        (b"a: 'b", "yaml-syntax"),
        (b'a: "\\ud800"', "yaml-syntax"),
        (b"a: 1\na: 2", "duplicate-key"),
        (b"a: {b: 1, c: {d: 1, d: 2}}", "duplicate-key"),
        (b"'a': 1\n\"a\": 2", "duplicate-key"),
        (b"[" * 100_000, "yaml-too-deep"),
        (b"{a: " * 50 + b"1" + b"}" * 50, "yaml-too-deep"),
        (b"- " * 100_000, "yaml-too-deep"),
        (b"a: b\n  c: d", "yaml-syntax"),
        (b"a" * 1_000_000 + b": [", "yaml-syntax"),
    ],
)
def test_what_is_refused_is_refused_with_its_code(content: bytes, code: str) -> None:
    start = time.process_time()
    _, mistakes = read_yaml("a.yaml", content)
    assert [mistake.code for mistake in mistakes] == [code]
    assert time.process_time() - start < 5


def test_a_key_of_a_megabyte_is_read() -> None:
    assert value_of("a" * 1_000 + ": 1") == {"a" * 1_000: 1}
    document, mistakes = read_yaml("a.yaml", b"? " + b"a" * 1_000_000 + b"\n: 1")
    assert not mistakes
    assert list(document.value) == ["a" * 1_000_000]


def test_a_bomb_of_many_values_is_refused_in_bounded_time() -> None:
    start = time.process_time()
    _, mistakes = read_yaml("a.yaml", b"[" + b"a," * (MAX_NODES + 10) + b"]")
    assert [mistake.code for mistake in mistakes] == ["yaml-too-large"]
    assert time.process_time() - start < 10


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_places_count_characters_from_one_whatever_ends_a_line(line_end: str, mark: str) -> None:
    text = mark + line_end.join(["top:", "  ключ: värde", "  list: [1, {inner: 22}]", ""])
    document, mistakes = read_yaml("a.yaml", text.encode())
    assert not mistakes
    key = Location(path="a.yaml", line=2, column=3, end_line=2, end_column=7)
    assert document.locate_key("top", "ключ") == key
    assert document.locate("top", "ключ") == Location(path="a.yaml", line=2, column=9, end_line=2, end_column=14)
    assert document.locate("top", "list", 1, "inner") == Location(
        path="a.yaml", line=3, column=21, end_line=3, end_column=23
    )
    assert document.locate("top", "list", 1, "gone", "deeper").line == 3
    assert document.locate_key("top", "gone").line == 1


def test_the_place_of_a_key_that_stands_twice_is_the_first() -> None:
    document, mistakes = read_yaml("a.yaml", b"a: {b: 1}\na: {b: 2}\n")
    assert document.value == {"a": {"b": 1}}
    assert document.locate("a", "b").line == 1
    assert mistakes[0].location.line == 2
    assert mistakes[0].related[0].location.line == 1


@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_diagnostic(content: bytes) -> None:
    document, mistakes = read_yaml("a.yaml", content)
    assert all(mistake.location.path == "a.yaml" for mistake in mistakes)
    document.locate("anything")


YAML_PIECES = st.sampled_from(
    [
        "a",
        "b",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        '"',
        "|",
        ">",
        "#",
        "&x",
        "*x",
        "!",
        "%",
        "?",
        "~",
        "0",
        "1",
        ".",
        "e",
        "\t",
        "---",
        "...",
        "<<",
        "\ufeff",
        "\r",
        "é",
        "\\",
        "${{",
        "}}",
    ]
)


@given(pieces=st.lists(YAML_PIECES, max_size=40))
def test_any_text_in_the_letters_of_yaml_gives_a_value_or_a_diagnostic(pieces: list[str]) -> None:
    content = "".join(pieces).encode()
    document, mistakes = read_yaml("a.yaml", content)
    assert all(mistake.location.line >= 1 and mistake.location.column >= 1 for mistake in mistakes)
    document.locate("a")
