"""Expressions as closures against jmespath's own interpreter: the same values, the same mistakes."""

from __future__ import annotations

import math
import string
from typing import Any

import jmespath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jmespath.functions import Functions

from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.expressions import compile_expression, is_false

NAMES = st.sampled_from(["a", "b", "c", '"x y"', "f"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 0.0, 1.0, 2.5, "", "a", "1", "é"]),
    st.integers(-5, 5),
    st.text(string.ascii_lowercase, max_size=3),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "x y", "f"]), inner),
    max_leaves=12,
)
EVENTS = st.one_of(VALUES, st.dictionaries(st.sampled_from(["a", "b", "c", "x y", "f"]), VALUES, min_size=2))
LITERALS = st.sampled_from(
    [
        "`0`",
        "`1`",
        "`1.0`",
        "`0.0`",
        "`true`",
        "`false`",
        "`null`",
        '`"a"`',
        "'a'",
        "''",
        "`[]`",
        "`{}`",
        "`[1]`",
        "`-2`",
    ]
)


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = sorted(Functions.FUNCTION_TABLE)
    one = st.builds("{0}({1})".format, st.sampled_from(names), inner)
    two = st.builds("{0}({1}, {2})".format, st.sampled_from(names), inner, inner)
    by = st.builds("{0}({1}, &{2})".format, st.sampled_from(["sort_by", "max_by", "min_by"]), inner, inner)
    mapped = st.builds("map(&{0}, {1})".format, inner, inner)
    return st.one_of(one, two, by, mapped)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    comparators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    suffixes = ["[0]", "[-1]", "[5]", "[*]", "[]", ".*", "[::2]", "[1:]", "[::-1]"]
    return st.one_of(
        st.builds("{0}.{1}".format, inner, NAMES),
        st.builds("{0}{1}".format, inner, st.sampled_from(suffixes)),
        st.builds("({0}) {1} ({2})".format, inner, comparators, inner),
        st.builds("{0} {1} {2}".format, inner, comparators, LITERALS),
        st.builds("{0} && {1}".format, inner, inner),
        st.builds("{0} || {1}".format, inner, inner),
        st.builds("!({0})".format, inner),
        st.builds("({0})".format, inner),
        st.builds("{0} | {1}".format, inner, inner),
        st.builds("[{0}, {1}]".format, inner, inner),
        st.builds("{{a: {0}, b: {1}}}".format, inner, inner),
        st.builds("{0}[?{1}]".format, inner, inner),
        st.builds("{0}[?{1}].{2}".format, inner, inner, NAMES),
        st.builds("{0}[].{1}".format, inner, NAMES),
        _calls(inner),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, LITERALS, st.just("@")), _larger, max_leaves=8)


def _outcome(evaluate: Any, event: object) -> tuple[str, object]:
    """What came of it, so that 1, 1.0 and true differ."""
    try:
        return "value", _typed(evaluate(event))
    except Exception as error:  # noqa: BLE001 -- whatever it is must be the same
        return type(error).__name__, str(error)


def _typed(value: object) -> object:
    if isinstance(value, list):
        return [_typed(one) for one in value]
    if isinstance(value, dict):
        return [(name, _typed(one)) for name, one in value.items()]
    if type(value).__name__ == "_Expression":
        return "an expression"
    return type(value).__name__, "nan" if isinstance(value, float) and math.isnan(value) else value


@settings(max_examples=600)
@given(EXPRESSIONS, EVENTS)
@example("a == `1`", {"a": True})
@example("a == `1`", {"a": 1.0})
@example("a[-1]", {"a": [1, 2]})
@example("a[2]", {"a": [1, 2]})
@example("a[::-1].b", {"a": [{"b": 1}, {"b": None}, {"b": 2}]})
@example("a[?b > `1`].b", {"a": [{"b": 1}, {"b": "x"}, {"b": 2}]})
@example("a.*", {"a": {"b": 1, "c": None}})
@example("a[]", {"a": [[1], 2, [[3]]]})
@example("a && b", {"a": 0, "b": 2})
@example("a || b", {"a": [], "b": 2})
@example("a == `true`", {"a": 1})
@example("a != `0`", {"a": False})
@example("a == b", {"a": 1, "b": True})
@example("!a", {"a": 0})
@example("a < `1`", {"a": "x"})
@example("length(a)", {"a": 1})
@example("max(a)", {"a": [1, "x"]})
@example("sort_by(a, &b)", {"a": [{"b": 2}, {"b": 1}]})
def test_an_expression_comes_to_what_jmespath_says(text: str, event: object) -> None:
    try:
        theirs = jmespath.compile(text)
    except jmespath.exceptions.JMESPathError:
        with pytest.raises(JobError, match="is not a JMESPath expression"):
            compile_expression(text, "here")
        return
    try:
        ours = compile_expression(text, "here")
    except JobError as error:
        # A call with a wrong number of arguments: jmespath says so only once it gets there.
        assert "arguments, and it takes" in error.message  # noqa: PT017
        return
    assert _outcome(ours, event) == _outcome(theirs.search, event)


@given(VALUES)
def test_false_is_what_jmespath_calls_false(value: object) -> None:
    assert is_false(value) == (jmespath.search("v && `7`", {"v": value}) != 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a ==", "here is not a JMESPath expression"),
        ("nope(a)", r"here calls nope\(\)"),
        ("[?nope(@)]", r"here calls nope\(\)"),
        ("length()", r"here gives length\(\) 0 arguments, and it takes 1"),
        ("a[?starts_with(b)]", r"here gives starts_with\(\) 1 arguments, and it takes 2"),
        ("merge()", r"here gives merge\(\) 0 arguments, and it takes 1 or more"),
        ("!" * 3000 + "a", "here is nested too deeply"),
    ],
)
def test_what_could_never_be_evaluated_is_refused(text: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        compile_expression(text, "here")
