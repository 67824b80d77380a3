"""Expressions that are more than a path: Jinja2's, sandboxed. Imported only when there is one.

Only what an expression needs is left in: operators, comparisons, conditionals, a short list of filters and of methods
of text. Whatever could make a small expression cost much time or memory is refused or capped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, Undefined, meta
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gitopsd.compiler.expressions import MAX_RESULT, OPENING, ExpressionError, as_text, check_names, unknown_entry

_FILTERS = (
    "abs", "default", "first", "float", "int", "last", "length", "lower", "max", "min", "round", "sort", "string",
    "trim", "upper",
)  # fmt: skip
_TEXT_METHODS = frozenset(
    {"endswith", "lower", "removeprefix", "removesuffix", "split", "startswith", "strip", "upper"}
)
_LARGE_NUMBER = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """An expression ready to run; `names` are the top-level names in it."""

    function: Callable[..., Any]
    names: frozenset[str]

    def run(self, scope: Mapping[str, Any]) -> Any:
        """Raises ExpressionError."""
        check_names(self.names, scope)
        try:
            result = self.function(**scope)
            if isinstance(result, Undefined):
                result._fail_with_undefined_error()  # noqa: SLF001 - the documented way to raise what Undefined would
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise ExpressionError(str(error) or type(error).__name__) from error
        except (RecursionError, MemoryError) as error:
            raise ExpressionError("the expression takes too much to evaluate") from error
        return result


def compile_expression(source: str) -> Compiled:
    """Raises ExpressionError."""
    try:
        names = meta.find_undeclared_variables(_ENVIRONMENT.parse(f"{OPENING}{source}}}}}"))
        function = _ENVIRONMENT.compile_expression(source, undefined_to_none=False)
    except TemplateError as error:
        raise ExpressionError(f"{error.message}") from error
    except (RecursionError, MemoryError, SyntaxError) as error:  # the last: Python's own limit on nesting
        raise ExpressionError("the expression is nested too deeply") from error
    return Compiled(function=function, names=frozenset(names))


class _Sandbox(ImmutableSandboxedEnvironment):
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
        return self.undefined(unknown_entry(obj, attribute), obj=obj, name=attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "+" and type(left) is type(right):
            if isinstance(left, str | list) and len(left) + len(right) > MAX_RESULT:
                raise SecurityError("the result is too long")
            return super().call_binop(context, operator, left, right)
        if not numbers or (operator == "**" and (abs(right) > 64 or abs(left) > 1 << 32)):
            raise SecurityError(
                f"`{operator}` is for numbers of a reasonable size; join text by writing it side by side"
            )
        if abs(left) > _LARGE_NUMBER or abs(right) > _LARGE_NUMBER:
            raise SecurityError("the number is too large")
        return super().call_binop(context, operator, left, right)


def _basename(path: Any) -> str:
    return str(path).rstrip("/").rsplit("/", 1)[-1]


def _join(items: Any, separator: str = "") -> str:
    """Jinja2's `join`, bounded in what it can come to."""
    texts = [as_text(item) for item in items]
    if sum(map(len, texts)) + len(texts) * len(separator) > MAX_RESULT:
        raise ExpressionError(f"the joined text comes to more than {MAX_RESULT:,} characters")
    return separator.join(texts)


def _replace(text: Any, old: str, new: str) -> str:
    """Jinja2's `replace`, bounded in what it can come to."""
    if len(str(text)) + str(text).count(old) * len(new) > MAX_RESULT:
        raise ExpressionError(f"the text comes to more than {MAX_RESULT:,} characters")
    return str(text).replace(old, new)


def _environment() -> _Sandbox:
    environment = _Sandbox(
        variable_start_string=OPENING,
        variable_end_string="}}",
        undefined=StrictUndefined,
        optimized=False,  # or what the sandbox intercepts could run while compiling
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters |= {"basename": _basename, "join": _join, "replace": _replace}
    return environment


_ENVIRONMENT = _environment()
