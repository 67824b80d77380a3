"""Expressions that are more than a path. Imported only when there is one.

Jinja2 parses, and what it parsed is evaluated here step by step, so that nothing runs which isn't listed: no attribute
of Python, no call but of a method of text, and a budget for everything that is gone through or made.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Lexer
from jinja2.parser import Parser

from gitopsd.compiler.expressions.evaluation import Evaluation
from gitopsd.compiler.expressions.filters import FILTERS, TESTS
from gitopsd.compiler.expressions.values import Budget, ExpressionError, unknown_name
from gitopsd.model.names import did_you_mean

_MAX_TOKENS = 256
_MAX_BRACKETS = 16
"""With these two, neither parsing nor evaluating comes near Python's own limit on recursion."""
_TOO_DEEP = "the expression is nested too deeply"

_ALL_FILTERS = frozenset({"default", *FILTERS})
_ALL_TESTS = frozenset({"defined", "undefined", *TESTS})


class Compiled:
    """An expression ready to run; `names` are the top-level names in it, with where each stands first."""

    __slots__ = ("_root", "_source", "names")

    def __init__(self, source: str, root: nodes.Expr) -> None:
        self._source = source
        self._root = root
        found = [node for node in _walk(root) if isinstance(node, nodes.Name)]
        self.names = {node.name: node.lineno for node in reversed(found)}

    def run(self, scope: Mapping[str, Any], budget: Budget) -> Any:
        """Raises ExpressionError."""
        for name, start in self.names.items():
            if name not in scope:
                raise unknown_name(name, scope, start)
        try:
            return Evaluation(scope, budget, self._source, _token_length).value(self._root)
        except RecursionError as error:
            raise ExpressionError(_TOO_DEEP) from error


def compile_expression(source: str) -> Compiled:
    """Raises ExpressionError."""
    try:
        _check_shape(source)
        parser = Parser(_ENVIRONMENT, source, state="variable")
        root = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail(f"`{parser.stream.current.value}` is not expected here")
    except TemplateSyntaxError as error:
        start = min(error.lineno, len(source))
        raise ExpressionError(_in_words(error), start=start, end=start + _token_length(source, start)) from error
    except RecursionError as error:  # called from deep inside something else
        raise ExpressionError(_TOO_DEEP) from error
    for node in _walk(root):
        _check_node(node)
    return Compiled(source, root)


class _OffsetLexer(Lexer):
    """Gives offsets instead of numbers of lines, so that errors and nodes know where they stand."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        offset = 0
        try:
            for _, kind, text in super().tokeniter(source, name, filename, state):
                yield offset, kind, text
                offset += len(text)
        except TemplateSyntaxError as error:
            raise TemplateSyntaxError(f"{error.message}", offset) from error


class _OffsetEnvironment(Environment):
    @property
    def lexer(self) -> Lexer:
        return _LEXER


_ENVIRONMENT = _OffsetEnvironment()
_LEXER = _OffsetLexer(_ENVIRONMENT)


def _tokens(source: str) -> list[tuple[int, str, str]]:
    return [token for token in _LEXER.tokeniter(source, None, state="variable") if token[1] != "whitespace"]


def _check_shape(source: str) -> None:
    tokens = _tokens(source)
    if len(tokens) > _MAX_TOKENS:
        raise ExpressionError(f"the expression has {len(tokens)} words and signs; the limit is {_MAX_TOKENS}")
    depth = 0
    for _, kind, text in tokens:
        if kind == "operator":
            depth += (text in "([{") - (text in ")]}")
        if depth > _MAX_BRACKETS:
            raise ExpressionError(_TOO_DEEP)


def _token_length(source: str, start: int) -> int:
    """Of the token at `start`; up to the end where none begins there."""
    try:
        return next((len(text) for offset, _, text in _tokens(source) if offset == start), len(source) - start)
    except TemplateSyntaxError:
        return min(1, len(source) - start)


def _in_words(error: TemplateSyntaxError) -> str:
    message = str(error.message)
    if message.startswith(("Unexpected end of template", "unexpected 'end of template'")) or "end of" in message:
        return "the expression ends too early"
    return message.partition(" at ")[0] if message.startswith("unexpected char") else message


def _walk(root: nodes.Node) -> Iterator[nodes.Node]:
    left = [root]
    while left:
        node = left.pop()
        yield node
        left += reversed(list(node.iter_child_nodes()))


def _check_node(node: nodes.Node) -> None:
    """Filters and tests are known names; arguments are written one by one."""
    for kind, known, word in ((nodes.Filter, _ALL_FILTERS, "filter"), (nodes.Test, _ALL_TESTS, "test")):
        if isinstance(node, kind) and node.name not in known:
            start = node.lineno
            raise ExpressionError(
                f"there is no {word} `{node.name[:60]}`",
                hint=did_you_mean(node.name, known),
                start=start,
                end=start + len(node.name) if word == "filter" else start,
            )
    if isinstance(node, nodes.Call | nodes.Filter | nodes.Test) and (node.dyn_args or node.dyn_kwargs):
        raise ExpressionError("arguments can't be unpacked from a list or mapping")
