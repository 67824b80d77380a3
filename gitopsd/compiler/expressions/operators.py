"""Operators of expressions, strict about types; they ask the budget before they do anything."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gitopsd.compiler.expressions.values import Budget, ExpressionError, as_text, checked_number

_MAX_EXPONENT = 64


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: Any) -> str:
    """The type of a value in the words of messages."""
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return "nothing"


def add(budget: Budget, left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return checked_number(left + right)
    if isinstance(left, str) and isinstance(right, str):
        budget.make(len(left) + len(right))
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        budget.make(len(left) + len(right))
        return [*left, *right]
    raise ExpressionError(
        f"`+` is for numbers, or two texts, or two lists, not {kind_of(left)} and {kind_of(right)};"
        " join text by writing it side by side"
    )


def concatenate(budget: Budget, items: Iterable[Any]) -> str:
    """`a ~ b ~ c`."""
    texts = [as_text(item) for item in items]
    budget.make(sum(map(len, texts)))
    return "".join(texts)


def _power(left: float, right: float) -> Any:
    if abs(right) > _MAX_EXPONENT:
        raise ExpressionError(f"`**` takes exponents up to {_MAX_EXPONENT}")
    result = left**right
    if isinstance(result, complex):
        raise ExpressionError("the root of a negative number is not a number")
    return result


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}


def calculate(sign: str, left: Any, right: Any) -> Any:
    """Any operator of two numbers but `+`."""
    if not is_number(left) or not is_number(right):
        raise ExpressionError(
            f"`{sign}` is for numbers, not {kind_of(left)} and {kind_of(right)}; join text by writing it side by side"
        )
    if right == 0 and sign in {"/", "//", "%"}:
        raise ExpressionError("division by zero")
    try:
        return checked_number(_ARITHMETIC[sign](left, right))
    except (OverflowError, ZeroDivisionError) as error:
        raise ExpressionError("the number is too large") from error


def compare(budget: Budget, sign: str, left: Any, right: Any) -> bool:
    """`sign` is Jinja2's name of the operator."""
    budget.work_through(left)
    budget.work_through(right)
    match sign:
        case "eq":
            return bool(left == right)
        case "ne":
            return bool(left != right)
        case "in":
            return contains(right, left)
        case "notin":
            return not contains(right, left)
    check_order(left, right)
    return bool({"lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge}[sign](left, right))


def contains(container: Any, item: Any) -> bool:
    match container:
        case str() if isinstance(item, str):
            return item in container
        case Mapping():
            return isinstance(item, str) and item in container
        case list() | tuple():
            return item in container
    raise ExpressionError(f"`in` can't look for {kind_of(item)} in {kind_of(container)}")


def check_order(left: Any, right: Any) -> None:
    """Raises ExpressionError for two values of which neither can be said to come first."""
    if not (is_number(left) and is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
        raise ExpressionError(f"{kind_of(left)} and {kind_of(right)} have no order")
