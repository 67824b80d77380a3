"""Values in the words of messages."""

from typing import Any


def word_for(value: Any) -> str:
    """A value as a message names it: "the number 5", "a mapping"."""
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text `{short(value)}`"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "nothing"


def short(value: Any, limit: int = 60) -> str:
    """Text cut to a length that fits a message."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Such as "1 replica" and "2 replicas"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
