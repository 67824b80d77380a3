"""`${{ … }}`: one typed expression of Jinja2, sandboxed, without access to files, clock, network or secrets.

Only what an expression needs is left in: operators, comparisons, conditionals, a short list of filters and of methods
of text. Whatever could make a small expression cost much time or memory is refused or capped.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

OPENING = "${{"
MAX_RESULT = 65_536
"""The longest text, in characters, that one value may come to."""

_FILTERS = (
    "abs", "default", "first", "float", "int", "last", "length", "lower", "max", "min", "round", "sort", "string", "trim",
    "upper",
)  # fmt: skip
_TEXT_METHODS = frozenset({"endswith", "lower", "removeprefix", "removesuffix", "split", "startswith", "strip", "upper"})


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
    """The top-level names (`params`, `worker`, …) that expressions inside the value refer to."""
    if isinstance(value, str):
        return _compile(value)[1] if OPENING in value else frozenset()
    if isinstance(value, Mapping):
        return frozenset[str]().union(*(names_used(item) for item in value.values()))
    if isinstance(value, list | tuple):
        return frozenset[str]().union(*(names_used(item) for item in value))
    return frozenset()


def evaluate(value: Any, scope: Mapping[str, Any]) -> Any:
    """The value with its expressions evaluated; text that is one whole expression takes the expression's type.

    Raises ExpressionError.
    """
    if isinstance(value, str):
        return _evaluate_text(value, scope) if OPENING in value else value
    if isinstance(value, Mapping):
        return {key: evaluate(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [evaluate(item, scope) for item in value]
    return value


def _evaluate_text(text: str, scope: Mapping[str, Any]) -> Any:
    parts, _ = _compile(text)
    results = [part if isinstance(part, str) else _run(part, scope) for part in parts]
    if len(results) == 1:
        return results[0]
    joined = "".join(_as_text(result) for result in results)
    if len(joined) > MAX_RESULT:
        raise ExpressionError(f"the text comes to more than {MAX_RESULT:,} characters")
    return joined


def _as_text(value: Any) -> str:
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


def _run(expression: Any, scope: Mapping[str, Any]) -> Any:
    from jinja2 import Undefined
    from jinja2.exceptions import TemplateError

    try:
        result = expression(**scope)
        if isinstance(result, Undefined):
            result._fail_with_undefined_error()  # noqa: SLF001 - the documented way to raise what Undefined would
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ExpressionError(str(error) or type(error).__name__) from error
    except RecursionError as error:
        raise ExpressionError("the expression is nested too deeply") from error
    return _plain(result)


def _plain(value: Any) -> Any:
    """The result as a JSON value, within its caps."""
    match value:
        case str():
            if len(value) > MAX_RESULT:
                raise ExpressionError(f"the text comes to more than {MAX_RESULT:,} characters")
            return str(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            raise ExpressionError("the expression gives something that is not text, a number, a list or a mapping")


@lru_cache(maxsize=8192)
def _compile(text: str) -> tuple[tuple[Any, ...], frozenset[str]]:
    """The literal parts and compiled expressions of a text, and the names that these use."""
    from jinja2 import meta
    from jinja2.exceptions import TemplateSyntaxError

    environment = _environment()
    parts: list[Any] = []
    names: set[str] = set()
    try:
        pending: list[str] | None = None
        for _, kind, raw in environment.lex(text):
            if kind == "variable_begin":
                pending = []
            elif kind == "variable_end":
                source = "".join(pending or [])
                parts.append(environment.compile_expression(source, undefined_to_none=False))
                names |= meta.find_undeclared_variables(environment.parse(OPENING + source + "}}"))
                pending = None
            elif pending is not None:
                pending.append(raw)
            else:
                parts.append(raw)
    except TemplateSyntaxError as error:
        raise ExpressionError(f"{error.message}") from error
    if pending is not None:
        raise ExpressionError("`${{` is never closed: add `}}`")
    return tuple(parts), frozenset(names)


def _basename(path: Any) -> str:
    return str(path).rstrip("/").rsplit("/", 1)[-1]


def _join(items: Any, separator: str = "") -> str:
    """Jinja2's `join`, bounded in what it can come to."""
    texts = [_as_text(item) for item in items]
    if sum(map(len, texts)) + len(texts) * len(separator) > MAX_RESULT:
        raise ExpressionError(f"the joined text comes to more than {MAX_RESULT:,} characters")
    return separator.join(texts)


def _replace(text: Any, old: str, new: str) -> str:
    """Jinja2's `replace`, bounded in what it can come to."""
    if len(str(text)) + str(text).count(old) * len(new) > MAX_RESULT:
        raise ExpressionError(f"the text comes to more than {MAX_RESULT:,} characters")
    return str(text).replace(old, new)


@cache
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "%", "+"})

        def getattr(self, obj: Any, attribute: str) -> Any:
            """`a.b` is the entry `b` of a mapping, or one of the few methods of text; never a Python attribute."""
            if isinstance(obj, Mapping):
                return obj[attribute] if attribute in obj else self._unknown(obj, attribute)
            if isinstance(obj, str) and attribute in _TEXT_METHODS:
                return getattr(obj, attribute)
            return self._unknown(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, Mapping) and argument not in obj:
                return self._unknown(obj, str(argument))
            return obj[argument] if isinstance(obj, Mapping | list | tuple | str) else self._unknown(obj, str(argument))

        def _unknown(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping):
                from gitopsd.model.names import did_you_mean

                message = f"there is no `{attribute}` here: {did_you_mean(attribute, map(str, obj)) or 'it is empty'}"
            else:
                message = f"there is no `{attribute}` on {type(obj).__name__} `{str(obj)[:40]}`"
            return self.undefined(message, obj=obj, name=attribute)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            numbers = isinstance(left, int | float) and isinstance(right, int | float)
            if operator == "+" and type(left) is type(right):
                if isinstance(left, str | list) and len(left) + len(right) > MAX_RESULT:
                    raise SecurityError("the result is too long")
                return super().call_binop(context, operator, left, right)
            if not numbers or (operator == "**" and (abs(right) > 64 or abs(left) > 1 << 32)):
                raise SecurityError(f"`{operator}` is for numbers of a reasonable size; join text by writing it side by side")
            if abs(left) > 1 << 64 or abs(right) > 1 << 64:
                raise SecurityError("the number is too large")
            return super().call_binop(context, operator, left, right)

    environment = Sandbox(
        variable_start_string=OPENING,
        variable_end_string="}}",
        block_start_string="\x00{%",
        block_end_string="%}\x00",
        comment_start_string="\x00{#",
        comment_end_string="#}\x00",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters |= {"basename": _basename, "join": _join, "replace": _replace}
    return environment
