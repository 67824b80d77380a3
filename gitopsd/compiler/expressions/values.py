"""What expressions are told apart by: their errors, their limits, and their results as values and as text."""

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

from gitopsd.model.names import did_you_mean

OPENING = "${{"
MAX_SOURCE = 1_000
"""The longest expression, in characters."""
MAX_RESULT = 262_144
"""What the expressions of one value may come to: characters of text and items of lists and mappings."""
MAX_WORK = 16 * MAX_RESULT
"""What evaluating the expressions of one value may go through, in the same units."""
MAX_EVALUATED = 1 << 24
"""What the values and expressions of one workflow may come to, and go through, all together: see `size_of`."""
_ITEM = 16
"""An item of a list or mapping costs so much more memory and time than a character does."""
LARGEST = 2**63 - 1


class TooMuchEvaluated(Exception):  # noqa: N818 - no one expression is wrong: all of a workflow's together are too many
    """The values and expressions of a workflow come to more than they may."""


class ExpressionError(ValueError):
    """An expression that doesn't parse, names something unknown, or can't be evaluated; the message says which.

    `at` is the way inside the evaluated value to the text with the expression; `start` and `end` are offsets in that
    text, equal where the error is about the whole of it.
    """

    def __init__(self, message: str, *, hint: str = "", start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.start = start
        self.end = end
        self.at: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message

    def placed(self, offset: int, length: int) -> "ExpressionError":
        """The same error in the text around its expression, which stands at `offset` and is `length` long."""
        if self.start == self.end:
            self.start, self.end = 0, length
        self.start, self.end = self.start + offset, self.end + offset
        return self


class Absent(ExpressionError):  # noqa: N818 - for `default`, which puts something in its place, it is no error
    """There is nothing to take, such as the first item of an empty list."""


class Spending:
    """What the values and expressions of one workflow may still come to, all together."""

    __slots__ = ("_left",)

    def __init__(self, limit: int = MAX_EVALUATED) -> None:
        self._left = limit

    def spend(self, size: int) -> None:
        """Raises TooMuchEvaluated, then and each time after."""
        self._left -= size
        if self._left < 0:
            raise TooMuchEvaluated


class Budget:
    """What the expressions of one value may still do, and what may still come out of them."""

    __slots__ = ("_items", "_result", "_work")

    def __init__(self) -> None:
        self._result = MAX_RESULT
        self._work = MAX_WORK
        self._items = 0

    @property
    def spent(self) -> int:
        """What has been done and has come out so far."""
        return MAX_WORK - self._work + MAX_RESULT - self._result + _ITEM * self._items

    def work(self, size: int) -> None:
        """Asked for before anything of that size is gone through or made."""
        self._work -= size
        if self._work < 0:
            raise ExpressionError("the expression takes too much to evaluate")

    def make(self, size: int) -> None:
        """`work` for a value of that size, which must not be larger than a result may be."""
        if size > MAX_RESULT:
            raise ExpressionError(f"the expression comes to more than {MAX_RESULT:,} characters and items")
        self.work(size)

    def work_through(self, value: Any) -> None:
        """`work` for everything inside the value."""
        match value:
            case str():
                self.work(1 + len(value))
            case Mapping():
                self.work(1 + len(value))
                for key, item in value.items():
                    self.work(len(str(key)))
                    self.work_through(item)
            case list() | tuple():
                self.work(1 + len(value))
                for item in value:
                    self.work_through(item)
            case _:
                self.work(1)

    def admit(self, value: Any) -> Any:
        """The result of one expression as a JSON value."""
        match value:
            case str():
                self._spend(len(value))
                return str(value)
            case bool() | None:
                return value
            case int() | float():
                return checked_number(value)
            case Mapping():
                self._spend(len(value))
                self._items += len(value)
                return {self.admit(str(key)): self.admit(item) for key, item in value.items()}
            case list() | tuple():
                self._spend(len(value))
                self._items += len(value)
                return [self.admit(item) for item in value]
            case _:
                raise ExpressionError("the expression gives something that is not text, a number, a list or a mapping")

    def _spend(self, size: int) -> None:
        self._result -= size
        if self._result < 0:
            raise ExpressionError(f"its expressions come to more than {MAX_RESULT:,} characters and items")


def size_of(value: Any) -> int:
    """The characters of a value, and its items at what they cost beside a character."""
    match value:
        case str():
            return len(value)
        case Mapping():
            return _ITEM * len(value) + sum(len(str(key)) + size_of(item) for key, item in value.items())
        case list() | tuple():
            return _ITEM * len(value) + sum(map(size_of, value))
        case _:
            return 1


def checked_number(number: float) -> int | float:
    """Raises ExpressionError for one that is too large, or not finite."""
    if abs(number) > LARGEST or not isfinite(number):
        raise ExpressionError("the number is too large")
    return number


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


def unknown_name(name: str, known: Collection[str], start: int) -> ExpressionError:
    """For a name at `start` that isn't among the known ones."""
    hint = did_you_mean(name, known)
    return ExpressionError(f"there is no `{name[:60]}` here", hint=hint, start=start, end=start + len(name))


def unknown_entry(value: Any, name: str, start: int = 0, end: int = 0) -> ExpressionError:
    """For `value.name` where there is none."""
    if isinstance(value, Mapping):
        hint = did_you_mean(name, map(str, value)) or "it is empty"
        return ExpressionError(f"there is no `{name[:60]}` here", hint=hint, start=start, end=end)
    return ExpressionError(f"there is no `{name[:60]}` on `{shown(value)}`", start=start, end=end)


def shown(value: Any) -> str:
    """The start of a value, for messages."""
    match value:
        case str():
            return value[:40]
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)[:40]
