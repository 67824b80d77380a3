"""`${{ … }}`: one typed expression, without access to files, clock, network or secrets.

A plain path such as `params.inbox`, by far the commonest, is looked up here; everything else is the sandbox's.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gitopsd.compiler.expressions.values import (
    MAX_RESULT,
    MAX_SOURCE,
    OPENING,
    Budget,
    ExpressionError,
    Spending,
    as_text,
    unknown_entry,
    unknown_name,
)

if TYPE_CHECKING:
    from gitopsd.compiler.expressions.parsing import Compiled

__all__ = [
    "MAX_RESULT", "OPENING", "ExpressionError", "evaluate", "expression_mistakes", "has_expression", "names_used",
]  # fmt: skip

T = TypeVar("T")

_PATH = re.compile(r"[a-z]+(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def has_expression(value: Any) -> bool:
    """Whether any text inside the value holds an expression."""
    if isinstance(value, str):
        return OPENING in value
    if isinstance(value, Mapping):
        return any(has_expression(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_expression(item) for item in value)


def names_used(value: Any) -> frozenset[str]:
    """The top-level names (`params`, `worker`, …) of the expressions inside the value. Raises ExpressionError."""
    names: set[str] = set()
    _map_texts(value, lambda text: names.update(*(part.program.names for part in _expressions(text))))
    return frozenset(names)


def expression_mistakes(value: Any, known: Collection[str]) -> Iterator[ExpressionError]:
    """What is wrong with the expressions inside the value, as far as can be told without their values.

    `known` are the top-level names that there will be. At most one error for each text.
    """
    if isinstance(value, str):
        try:
            for part in _expressions(value):
                for name, start in part.program.names.items():
                    if name not in known:
                        yield unknown_name(name, known, start).placed(part.start, len(part.source))
                        return
        except ExpressionError as error:
            yield error
        return
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value) if _is_list(value) else ():
        for mistake in expression_mistakes(item, known):
            mistake.at = (key, *mistake.at)
            yield mistake


def evaluate(value: Any, scope: Mapping[str, Any], spending: Spending | None = None) -> Any:
    """The value with its expressions evaluated; text that is one whole expression takes the expression's type.

    Raises ExpressionError, and TooMuchEvaluated once the whole workflow has spent too much.
    """
    budget = Budget()
    try:
        return _map_texts(value, lambda text: _evaluate_text(text, scope, budget))
    finally:
        if spending:
            spending.spend(budget.spent)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _map_texts(value: Any, change: Callable[[str], T]) -> Any:
    """The value with every text that holds an expression changed. Errors get the way to where they came up."""
    if isinstance(value, str):
        return change(value) if OPENING in value else value
    if isinstance(value, Mapping):
        return {key: _map_item(key, item, change) for key, item in value.items()}
    if _is_list(value):
        return [_map_item(index, item, change) for index, item in enumerate(value)]
    return value


def _map_item(key: str | int, item: Any, change: Callable[[str], T]) -> Any:
    try:
        return _map_texts(item, change)
    except ExpressionError as error:
        error.at = (key, *error.at)
        raise


def _evaluate_text(text: str, scope: Mapping[str, Any], budget: Budget) -> Any:
    parts = _parse(text)
    results: list[Any] = []
    for part in parts:
        if isinstance(part, str):
            results.append(part)
            continue
        try:
            result = budget.admit(part.program.run(scope, budget))
            results.append(result if len(parts) == 1 else as_text(result))
        except ExpressionError as error:
            raise error.placed(part.start, len(part.source)) from error.__cause__
    return results[0] if len(results) == 1 else "".join(results)


class _Path:
    """`a.b.c`: entries of mappings, one in another."""

    __slots__ = ("_path", "names")

    def __init__(self, source: str) -> None:
        self._path = source.split(".")
        self.names = {self._path[0]: 0}

    def run(self, scope: Mapping[str, Any], budget: Budget) -> Any:
        del budget  # nothing is made
        if self._path[0] not in scope:
            raise unknown_name(self._path[0], scope, 0)
        value: Any = scope
        start = 0
        for name in self._path:
            if not isinstance(value, Mapping) or name not in value:
                raise unknown_entry(value, name, start, start + len(name))
            value = value[name]
            start += len(name) + 1
        return value


class _Expression(NamedTuple):
    """One expression of a text: what it says without the spaces around it, and where in the text that starts."""

    source: str
    start: int
    program: "_Path | Compiled"


def _expressions(text: str) -> Iterator[_Expression]:
    return (part for part in _parse(text) if isinstance(part, _Expression)) if OPENING in text else iter(())


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[str | _Expression, ...]:
    """Literal text and expressions, in turn. Raises ExpressionError."""
    parts: list[str | _Expression] = []
    position = 0
    while (opening := text.find(OPENING, position)) >= 0:
        if opening > position:
            parts.append(text[position:opening])
        inside = opening + len(OPENING)
        closing = _end_of_expression(text, opening)
        source = text[inside:closing].strip()
        if not source:
            raise ExpressionError("there is nothing between `${{` and `}}`", start=opening, end=closing + 2)
        start = text.index(source, inside)
        try:
            parts.append(_Expression(source, start, _program(source)))
        except ExpressionError as error:
            raise error.placed(start, len(source)) from error.__cause__
        position = closing + 2
    if position < len(text):
        parts.append(text[position:])
    return tuple(parts)


@lru_cache(maxsize=4096)
def _program(source: str) -> "_Path | Compiled":
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"an expression has {len(source):,} characters; the limit is {MAX_SOURCE:,}")
    if _PATH.fullmatch(source):
        return _Path(source)
    from gitopsd.compiler.expressions.parsing import compile_expression  # noqa: PLC0415 - Jinja2 is loaded only when it is needed

    return compile_expression(source)


def _end_of_expression(text: str, opening: int) -> int:
    """Where the closing `}}` stands; inside quotes and brackets braces mean something else."""
    open_brackets: list[str] = []
    quote = ""
    position = opening + len(OPENING)
    while position < len(text):
        character = text[position]
        if quote:
            position += character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _BRACKETS:
            open_brackets.append(_BRACKETS[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        elif text.startswith("}}", position) and not open_brackets:
            return position
        position += 1
    hint = "add `}}`" + (", and check its quotes" if quote else ", and check its brackets" if open_brackets else "")
    raise ExpressionError("`${{` is never closed", hint=hint, start=opening, end=len(text))
