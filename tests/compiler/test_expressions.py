import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.expressions import MAX_RESULT, ExpressionError, evaluate, names_used
from gitopsd.compiler.sandbox import compile_expression

SCOPE: dict[str, Any] = {
    "params": {
        "inbox": "/srv/in", "count": 3, "rate": 0.5, "on": True, "nothing": None, "names": ["a", "b"],
        "deep": {"er": {"est": "x"}}, "text": "ab" * 500,
    },
    "worker": {"name": "edge-1", "labels": {"region": "eu"}},
}  # fmt: skip

HOSTILE = [
    "'a' * 10 ** 9",
    "10 ** 10 ** 10",
    "3 ** 99999999",
    "2 ** 64 ** 64",
    "9 ** 9 ** 9 ** 9",
    "[params.names] * 10 ** 9",
    "'%999999999d' % 1",
    "'{:>999999999}'.format(1)",
    "'x'.ljust(10 ** 9)",
    "'x'.join(params.names * 10 ** 8)",
    "params.text | replace('', params.text) | replace('', params.text) | replace('', params.text)",
    "range(10 ** 9) | list",
    "[" * 400 + "]" * 400,
    "(" * 450 + "1" + ")" * 450,
    "-" * 900 + "1",
    "not " * 240 + "1",
    "1" + "+1" * 480,
    "params.text" + "~params.text" * 80,
    "[" + "params.text," * 80 + "] | join(params.text)",
    "1 if 1 else " * 80 + "1",
    "''.__class__.__mro__[1].__subclasses__()",
    "params.__class__.__init__.__globals__",
    "params.inbox.__format__('')",
    "lipsum.__globals__['os'].popen('id').read()",
    "cycler.__init__.__globals__.os",
    "self.__init__",
    "joiner()",
    "namespace()",
    "params | attr('__class__')",
    "params.names | map('upper') | list",
    "params.names.append('c')",
    "worker.labels.update({'region': 'us'})",
    "params.names | sort(attribute='__class__')",
    "params.inbox | format",
    "config",
    "'1' * 10 | int ** 9",
    "('9' * 9) | int",
    "'inf' | float",
    "'nan' | float",
    "1e308 * 10",
    "1 / 0",
    "1 // 0",
    "params.names[10 ** 18]",
    "params.names[::0]",
    "{[]: 1}",
    "{% for x in y %}",
    "x" * 100_000,
    "a." * 400 + "a",
    "\0",
    "\ud800",
    "'\\ud800' | lower",
]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:30].encode("unicode_escape").decode())
def test_no_expression_takes_more_than_bounded_time_and_memory(source: str) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    try:
        result = str(evaluate(f"${{{{ {source} }}}}", SCOPE))
    except ExpressionError as error:
        result = f"refused: {error}"
    assert 0 < len(result) <= MAX_RESULT
    seconds = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2
    assert peak < 32 << 20
    assert SCOPE["params"]["names"] == ["a", "b"]
    assert SCOPE["worker"]["labels"] == {"region": "eu"}


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
        ("${{ 1 + }}", "unexpected|Expected"),
        ("a ${{ params.names }}", "can't be put into text"),
        ("a ${{ params.nothing }}", "gives nothing"),
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
        expected = compile_expression(source).run({"params": params})
    except ExpressionError:
        with pytest.raises(ExpressionError):
            evaluate(f"${{{{ {source} }}}}", {"params": params})
    else:
        assert evaluate(f"${{{{ {source} }}}}", {"params": params}) == expected
