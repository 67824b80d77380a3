"""`${{ … }}`: one typed expression, without access to files, clock, network or secrets.

A plain path such as `params.inbox`, by far the commonest, is looked up here; everything else is Jinja2's, see sandbox.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from gitopsd.model.names import did_you_mean

if TYPE_CHECKING:
    from gitopsd.compiler.sandbox import Compiled

OPENING = "${{"
MAX_SOURCE = 1_000
"""The longest expression, in characters: what it nests is bounded by it."""
MAX_RESULT = 262_144
"""What the expressions of one value may come to: characters of text and items of lists and mappings."""

_PATH = re.compile(r"[a-z]+(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_LARGEST = 2**63 - 1
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


class ExpressionError(ValueError):
    """An expression that doesn't parse, names something unknown, or can't be evaluated; the message says which."""


def has_expression(value: Any) -> bool:
    """Whether any text inside the value holds an expression."""
    if isinstance(value, str):
        return OPENING in value
    if isinstance(value, Mapping):
        return any(has_expression(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_expression(item) for item in value)


def names_used(value: Any) -> frozenset[str]:
    """The top-level names (`params`, `worker`, …) of the expressions inside the value. Raises ExpressionError."""
    if isinstance(value, str):
        names = [part.names for part in _parse(value) if not isinstance(part, str)] if OPENING in value else ()
        return frozenset[str]().union(*names)
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return frozenset[str]().union(*map(names_used, items))


def evaluate(value: Any, scope: Mapping[str, Any]) -> Any:
    """The value with its expressions evaluated; text that is one whole expression takes the expression's type.

    Raises ExpressionError.
    """
    return _evaluate(value, scope, _Budget())


class _Budget:
    """What may still come out of the expressions of one value."""

    def __init__(self) -> None:
        self._left = MAX_RESULT

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ExpressionError(f"its expressions come to more than {MAX_RESULT:,} characters and items")

    def admit(self, value: Any) -> Any:
        """The result of one expression as a JSON value."""
        match value:
            case str():
                self.spend(len(value))
                return str(value)
            case bool() | None:
                return value
            case int() | float():
                if not isfinite(value) or abs(value) > _LARGEST:
                    raise ExpressionError("the number is too large")
                return value
            case Mapping():
                self.spend(len(value))
                return {self.admit(str(key)): self.admit(item) for key, item in value.items()}
            case list() | tuple():
                self.spend(len(value))
                return [self.admit(item) for item in value]
            case _:
                raise ExpressionError("the expression gives something that is not text, a number, a list or a mapping")


def _evaluate(value: Any, scope: Mapping[str, Any], budget: _Budget) -> Any:
    if isinstance(value, str):
        return _evaluate_text(value, scope, budget) if OPENING in value else value
    if isinstance(value, Mapping):
        return {key: _evaluate(item, scope, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_evaluate(item, scope, budget) for item in value]
    return value


def _evaluate_text(text: str, scope: Mapping[str, Any], budget: _Budget) -> Any:
    results = [part if isinstance(part, str) else budget.admit(part.run(scope)) for part in _parse(text)]
    return results[0] if len(results) == 1 else "".join(map(as_text, results))


def as_text(value: Any) -> str:
    """A result as a part of text. Raises ExpressionError for what has no one way to be written."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case None:
            raise ExpressionError("an expression inside text gives nothing")
        case _:
            raise ExpressionError("a list or mapping can't be put into text: make the expression the whole value")


class _Path:
    """`a.b.c`: entries of mappings, one in another."""

    __slots__ = ("_path", "names")

    def __init__(self, source: str) -> None:
        self._path = source.split(".")
        self.names = frozenset(self._path[:1])

    def run(self, scope: Mapping[str, Any]) -> Any:
        check_names(self.names, scope)
        value: Any = scope
        for name in self._path:
            if not isinstance(value, Mapping) or name not in value:
                raise ExpressionError(unknown_entry(value, name))
            value = value[name]
        return value


def check_names(names: frozenset[str], scope: Mapping[str, Any]) -> None:
    """Raises ExpressionError for a name that the scope doesn't have."""
    for name in sorted(names - scope.keys()):
        raise ExpressionError(f"there is no `{name}` here: {did_you_mean(name, scope)}")


def unknown_entry(value: Any, name: str) -> str:
    """The message for `value.name` where there is none."""
    if isinstance(value, Mapping):
        return f"there is no `{name}` here: {did_you_mean(name, map(str, value)) or 'it is empty'}"
    return f"there is no `{name}` on `{str(value)[:40]}`"


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple["str | _Path | Compiled", ...]:
    """Literal text and expressions, in turn. Raises ExpressionError."""
    return tuple(part if is_text else _expression(part) for is_text, part in _split(text) if part or not is_text)


@lru_cache(maxsize=4096)
def _expression(source: str) -> "_Path | Compiled":
    if not source.strip():
        raise ExpressionError("there is nothing between `${{` and `}}`")
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"an expression has {len(source):,} characters; the limit is {MAX_SOURCE:,}")
    if _PATH.fullmatch(source.strip()):
        return _Path(source.strip())
    from gitopsd.compiler.sandbox import compile_expression  # noqa: PLC0415 - Jinja2 is loaded only when it is needed

    return compile_expression(source)


def _split(text: str) -> Iterator[tuple[bool, str]]:
    """(whether it is literal text, the text or the expression's source)."""
    position = 0
    while (start := text.find(OPENING, position)) >= 0:
        yield True, text[position:start]
        end = _end_of_expression(text, start + len(OPENING))
        yield False, text[start + len(OPENING) : end]
        position = end + 2
    yield True, text[position:]


def _end_of_expression(text: str, position: int) -> int:
    """Where the closing `}}` stands; inside quotes and brackets braces mean something else."""
    open_brackets: list[str] = []
    quote = ""
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
    raise ExpressionError("`${{` is never closed: add `}}`" + (", and check its quotes" if quote else ""))
