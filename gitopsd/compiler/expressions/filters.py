"""Filters, tests and methods of expressions: the whole list, each bounded in time and output.

They mean what they mean in Jinja2, but are strict about types, and ask the budget before they do anything.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gitopsd.compiler.expressions.operators import check_order, is_number, kind_of
from gitopsd.compiler.expressions.values import Absent, Budget, ExpressionError, as_text, checked_number, shown

Operation = Callable[..., Any]

_LONGEST_NUMBER = 40
"""In characters; converting takes quadratic time."""


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"`{name}` is for text, not {kind_of(value)}")
    return value


def _items(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ExpressionError(f"`{name}` is for lists, not {kind_of(value)}")
    return value


def _number(value: Any, name: str) -> Any:
    if not is_number(value):
        raise ExpressionError(f"`{name}` is for numbers, not {kind_of(value)}")
    return value


def _absolute(budget: Budget, value: Any) -> Any:
    del budget
    return abs(_number(value, "abs"))


def _basename(budget: Budget, value: Any) -> str:
    budget.make(len(_text(value, "basename")))
    return str(value.rstrip("/").rsplit("/", 1)[-1])


def _first(budget: Budget, value: Any) -> Any:
    del budget
    return _end(value, 0, "first")


def _last(budget: Budget, value: Any) -> Any:
    del budget
    return _end(value, -1, "last")


def _end(value: Any, index: int, name: str) -> Any:
    items = value if isinstance(value, str) else _items(value, name)
    if not items:
        raise Absent(f"`{name}` of {kind_of(value)} that is empty")
    return items[index]


def _to_float(budget: Budget, value: Any) -> float:
    del budget
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        try:
            return checked_number(float(value))
        except ValueError as error:
            if isinstance(error, ExpressionError):
                raise
    elif is_number(value):
        return float(value)
    raise ExpressionError(f"`{shown(value)}` is not a number")


def _to_int(budget: Budget, value: Any) -> int:
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        try:
            return int(checked_number(int(value)))
        except ValueError as error:
            if isinstance(error, ExpressionError):
                raise
    if isinstance(value, bool):
        return int(value)
    return int(_to_float(budget, value))


def _join(budget: Budget, value: Any, separator: Any = "") -> str:
    texts = [as_text(item) for item in _items(value, "join")]
    budget.make(sum(map(len, texts)) + len(texts) * (1 + len(_text(separator, "join"))))
    return str(separator.join(texts))


def _length(budget: Budget, value: Any) -> int:
    del budget
    return len(value if isinstance(value, str | Mapping) else _items(value, "length"))


def _lower(budget: Budget, value: Any) -> str:
    budget.make(len(_text(value, "lower")))
    return str(value.lower())


def _upper(budget: Budget, value: Any) -> str:
    budget.make(len(_text(value, "upper")))
    return str(value.upper())


def _ordered(budget: Budget, value: Any, name: str, *, case_sensitive: bool = False) -> list[tuple[Any, Any]]:
    """(what it is ordered by, the item)."""
    items = _items(value, name)
    for item in items:
        check_order(item, items[0])
    # what sorting goes through: each item is compared about log2(n) times
    budget.work(len(items) * len(items).bit_length())
    budget.work_through(items)
    fold = not case_sensitive and bool(items) and isinstance(items[0], str)
    return [(item.lower() if fold else item, item) for item in items]


def _extreme(budget: Budget, value: Any, name: str, choose: Callable[..., Any], *, case_sensitive: bool) -> Any:
    pairs = _ordered(budget, value, name, case_sensitive=case_sensitive)
    if not pairs:
        raise ExpressionError(f"`{name}` of a list that is empty")
    return choose(pairs, key=operator.itemgetter(0))[1]


def _max(budget: Budget, value: Any, *, case_sensitive: bool = False) -> Any:
    return _extreme(budget, value, "max", max, case_sensitive=case_sensitive)


def _min(budget: Budget, value: Any, *, case_sensitive: bool = False) -> Any:
    return _extreme(budget, value, "min", min, case_sensitive=case_sensitive)


def _sort(budget: Budget, value: Any, reverse: Any = False, case_sensitive: Any = False) -> list[Any]:
    pairs = _ordered(budget, value, "sort", case_sensitive=bool(case_sensitive))
    return [item for _, item in sorted(pairs, key=operator.itemgetter(0), reverse=bool(reverse))]


def _replace(budget: Budget, value: Any, old: Any, new: Any) -> str:
    _text(value, "replace")
    budget.work(len(value))
    budget.make(len(value) + value.count(_text(old, "replace")) * len(_text(new, "replace")))
    return str(value.replace(old, new))


def _round(budget: Budget, value: Any, precision: Any = 0) -> float:
    del budget
    if not isinstance(precision, int) or not 0 <= precision <= 15:
        raise ExpressionError("`round` takes from 0 to 15 digits")
    return float(round(_number(value, "round"), precision))


def _string(budget: Budget, value: Any) -> str:
    text = as_text(value)
    budget.make(len(text))
    return text


def _strip(budget: Budget, value: Any, characters: Any = None) -> str:
    # every character at an end may be looked for among all of those to strip
    budget.make(len(_text(value, "trim")))
    if characters is not None and len(_text(characters, "trim")) > _LONGEST_NUMBER:
        raise ExpressionError(f"`trim` takes up to {_LONGEST_NUMBER} characters")
    return str(value.strip(characters))


FILTERS: Mapping[str, Operation] = {
    "abs": _absolute,
    "basename": _basename,
    "first": _first,
    "float": _to_float,
    "int": _to_int,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "max": _max,
    "min": _min,
    "replace": _replace,
    "round": _round,
    "sort": _sort,
    "string": _string,
    "trim": _strip,
    "upper": _upper,
}
"""By name; called with the budget, the value and the filter's arguments. `default` is the evaluator's."""


def _endswith(budget: Budget, value: str, suffix: Any) -> bool:
    del budget
    return value.endswith(_text(suffix, "endswith"))


def _startswith(budget: Budget, value: str, prefix: Any) -> bool:
    del budget
    return value.startswith(_text(prefix, "startswith"))


def _removeprefix(budget: Budget, value: str, prefix: Any) -> str:
    budget.make(len(value))
    return value.removeprefix(_text(prefix, "removeprefix"))


def _removesuffix(budget: Budget, value: str, suffix: Any) -> str:
    budget.make(len(value))
    return value.removesuffix(_text(suffix, "removesuffix"))


def _split(budget: Budget, value: str, separator: Any = None, maxsplit: Any = -1) -> list[str]:
    # a piece costs more than its characters: each is an object of its own
    budget.make(2 * len(value))
    if separator == "" or not isinstance(maxsplit, int) or abs(maxsplit) > len(value) + 1:
        raise ExpressionError("`split` takes text that isn't empty, and how often to split")
    return value.split(None if separator is None else _text(separator, "split"), maxsplit)


TEXT_METHODS: Mapping[str, Operation] = {
    "endswith": _endswith,
    "lower": _lower,
    "removeprefix": _removeprefix,
    "removesuffix": _removesuffix,
    "split": _split,
    "startswith": _startswith,
    "strip": _strip,
    "upper": _upper,
}
"""By name; called with the budget, the text and the method's arguments."""

TESTS: Mapping[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "even": lambda value: _number(value, "even") % 2 == 0,
    "false": lambda value: value is False,
    "float": lambda value: isinstance(value, float),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(value, Mapping),
    "none": lambda value: value is None,
    "number": is_number,
    "odd": lambda value: _number(value, "odd") % 2 == 1,
    "sequence": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
}
"""What `a is NAME` asks; `defined` and `undefined` are the evaluator's."""
