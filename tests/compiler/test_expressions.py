import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.expressions.diagnostics import expression_diagnostic
from gitopsd.compiler.expressions.parsing import compile_expression
from gitopsd.compiler.expressions.texts import MAX_RESULT, ExpressionError, evaluate, expression_mistakes, names_used
from gitopsd.compiler.expressions.values import Budget
from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.model.diagnostic import Location
from tests.compiler.hostile_expressions import EXPRESSIONS

SCOPE: dict[str, Any] = {
    "params": {
        "inbox": "/srv/in", "count": 3, "rate": 0.5, "on": True, "nothing": None, "names": ["a", "b"],
        "deep": {"er": {"est": "x"}}, "text": "ab" * 500,
    },
    "worker": {"name": "edge-1", "labels": {"region": "eu"}},
}  # fmt: skip


@pytest.mark.timeout(120)
def test_no_expression_takes_more_than_bounded_time_and_memory() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.compiler.hostile_expressions"], capture_output=True, text=True, check=False
    )
    *_, last = ["", *result.stdout.splitlines()]
    assert result.returncode == 0, f"{last}: {result.stderr}"
    assert len(result.stdout.splitlines()) == len(EXPRESSIONS)


@pytest.mark.parametrize(
    "source", ["''.__class__", "params.__class__", "params.names.append('c')", "lipsum", "range(3)"]
)
def test_nothing_of_python_is_within_reach(source: str) -> None:
    with pytest.raises(ExpressionError, match="there is no"):
        evaluate(f"${{{{ {source} }}}}", SCOPE)


def test_many_small_expressions_of_one_value_share_one_limit() -> None:
    with pytest.raises(ExpressionError, match="come to more than"):
        evaluate(["${{ params.text }}"] * (MAX_RESULT // 1000 + 1), SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ params.inbox }}", "/srv/in"),
        ("${{ params.count }}", 3),
        ("${{params.on}}", True),
        ("${{ params.nothing }}", None),
        ("${{ params.names }}", ["a", "b"]),
        ("${{ params.inbox }}/*.jsonl", "/srv/in/*.jsonl"),
        ("n=${{ params.count }} on=${{ params.on }}", "n=3 on=true"),
        ("${{ params.count + 1 }}", 4),
        ("${{ 'once' if params.on else 'service' }}", "once"),
        ("${{ params.inbox | basename | upper }}", "IN"),
        ("${{ params.names | join('-') }}", "a-b"),
        ("${{ {'a': {'b': params.count}} }}", {"a": {"b": 3}}),
        ("${{ '}}' }}", "}}"),
        ("${{ params['inbox'] }}", "/srv/in"),
        ("${{ params.deep.er.est }}", "x"),
        ("$ {{ no }} $${{ params.count }}", "$ {{ no }} $3"),
        ("a\r\nb ${{ params.count }}\r\n", "a\r\nb 3\r\n"),
        ("{% raw %}${{ params.count }}{# no #}", "{% raw %}3{# no #}"),
        ("plain", "plain"),
        ("${{ params.gone | default('none') }}", "none"),
        ("${{ [] | first | default('none') }}", "none"),
        ("${{ params.gone is defined or params.count is odd }}", True),
        ("${{ params.on ~ '/' ~ params.rate }}", "true/0.5"),
        ("${{ ' a ' | trim ~ 'b,c'.split(',')[-1] }}", "ac"),
        ("${{ ['b', 'A', 'c'] | sort }}", ["A", "b", "c"]),
        ("${{ [3, 1, 2] | sort(reverse=true) }}", [3, 2, 1]),
        ("${{ (7 // 2, 7 % 2, 2 ** 3, 7 / 2, -1) }}", [3, 1, 8, 3.5, -1]),
        ("${{ 1 < params.count <= 3 and 'a' in params.names }}", True),
        ("${{ ['12' | int, '1.5' | float, 2.7 | int, 2.5 | round] }}", [12, 1.5, 2, 2.0]),
        ("${{ params.inbox[1:4] ~ params.names[1] }}", "srvb"),
        ("${{ params.inbox.startswith('/srv') }}", True),
    ],
)
def test_an_expression_keeps_its_type_and_text_around_it_makes_text(text: str, value: object) -> None:
    result = evaluate(text, SCOPE)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${{ parms.inbox }}", "did you mean `params`"),
        ("${{ params.inbx }}", "did you mean `inbox`"),
        ("${{ params.inbox.x }}", "there is no `x` on `/srv/in`"),
        ("${{ params.inbox + 1 }}", "for numbers"),
        ("${{ params.inbox", "never closed"),
        ("${{ 'a }}", "check its quotes"),
        ("${{  }}", "nothing between"),
        ("${{ 1 + }}", "ends too early"),
        ("a ${{ params.names }}", "can't be put into text"),
        ("a ${{ params.nothing }}", "gives nothing"),
        ("${{ params.inbox + 1 }}", "text and a number"),
        ("${{ 'a' | int }}", "`a` is not a number"),
        ("${{ 'x' if false }}", "no `else`"),
        ("${{ params.names | first | first | uper }}", "did you mean `upper`"),
        ("${{ params.inbox.upper }}", "there is no `upper`|method of text"),
        ("${{ (params.inbox).upper }}", "write `upper\\(\\)`"),
        ("${{ " + "a" * 2000 + " }}", "the limit is 1,000"),
    ],
)
def test_a_mistake_is_said_in_words(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(text, SCOPE)


def test_names_are_found_without_evaluating() -> None:
    assert names_used({"a": ["${{ params.x }}", "${{ worker.name ~ job.name }}"], "b": 5}) == {
        "params",
        "worker",
        "job",
    }


KEYS = st.sampled_from(["a", "b", "c_1", "inbox"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/ ", max_size=4),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(params=st.dictionaries(KEYS, VALUES, max_size=3), path=st.lists(KEYS, min_size=1, max_size=3))
def test_a_plain_path_means_what_jinja_says(params: dict[str, Any], path: list[str]) -> None:
    """Paths are looked up without Jinja2; the two ways must agree."""
    source = ".".join(["params", *path])
    try:
        expected = compile_expression(source).run({"params": params}, Budget())
    except ExpressionError:
        with pytest.raises(ExpressionError):
            evaluate(f"${{{{ {source} }}}}", {"params": params})
    else:
        assert evaluate(f"${{{{ {source} }}}}", {"params": params}) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("${{ parms.inbox }}/x", "parms"),
        ("a ${{ params.inbx }}", "inbx"),
        ("a ${{ params.deep.er.est.x }}", "x"),
        ("a ${{ params . inbx | upper }}", "inbx"),
        ("a ${{ params['inbx'] }}", "'inbx'"),
        ("a ${{ params.names[7] }}", "7"),
        ("a ${{ 1 + parms.b }}", "parms"),
        ("${{ params.count }} ${{ gone }}", "gone"),
        ("a ${{ 1 + + }} b", "+"),
        ("a ${{ (1, 2] }} b", None),
        ("a ${{ 'x' | uper }} b", "uper"),
        ("a ${{ 1 2 }} b", "2"),
        ("a ${{ 1 ? 2 }} b", "?"),
        ("a ${{ 1 / 0 }} b", "1 / 0"),
        ("a ${{ params.names }} b", "params.names"),
        ("a ${{  }} b", "${{  }}"),
        ("a ${{ params.x", "${{ params.x"),
    ],
)
def test_an_error_says_where_in_the_text_it_is(text: str, part: str | None) -> None:
    with pytest.raises(ExpressionError) as raised:
        evaluate({"k": ["plain", text]}, SCOPE)
    assert raised.value.at == ("k", 1)
    shown = text[raised.value.start : raised.value.end]
    assert shown == part if part else shown


def test_an_error_becomes_a_diagnostic_that_points_into_the_file() -> None:
    text = 'a:\n  b: ["x", "\\t${{ parms.inbox }}/*.jsonl"]\n'
    document, _ = read_yaml("a.yaml", text.encode())
    with pytest.raises(ExpressionError) as raised:
        evaluate(document.value["a"], SCOPE)
    diagnostic = expression_diagnostic(raised.value, document, ("a",), "`a`: ")
    assert diagnostic.message == "`a`: there is no `parms` here"
    assert diagnostic.hint == "did you mean `params`?"
    assert diagnostic.location == Location(path="a.yaml", line=2, column=19, end_line=2, end_column=24)


def test_unknown_names_are_found_without_evaluating() -> None:
    value = {"a": ["x", "${{ params.x }} ${{ worker.name ~ jbo.name }}"], "b": "${{ 1 + }}", "c": 5}
    first, second = expression_mistakes(value, {"params", "worker", "job"})
    assert (first.at, first.message, first.hint) == (("a", 1), "there is no `jbo` here", "did you mean `job`?")
    assert (first.start, first.end) == (34, 37)
    assert second.at == ("b",)
