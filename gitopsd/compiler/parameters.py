"""Values of parameters against their declarations."""

import re
from typing import Any

from msgspec import UNSET, UnsetType

from gitopsd.model.workflow import Parameter

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_BYTES = re.compile(r"([0-9]+)([KMGT]?)(?:i?B)?")
_BYTES_FACTOR = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "duration": "a duration such as `10s`, `5m` or `2h`",
    "bytes": "a size such as `64K`, `128M` or `1G`",
    "list": "a list",
    "map": "a mapping",
}


class ParameterError(ValueError):
    """The value doesn't fit; the message says what would."""


def checked(parameter: Parameter, value: Any) -> Any:
    """The value as jobs get it: sizes as a number of bytes, everything else as it was written.

    Raises ParameterError.
    """
    fits = _fits(parameter, value)
    if not fits:
        wanted = (
            "one of " + ", ".join(f"`{known}`" for known in parameter.values)
            if parameter.type == "enum"
            else _WORDS[parameter.type]
        )
        raise ParameterError(f"must be {wanted}, not {_shown(value)}")
    if parameter.type == "bytes":
        value = _bytes(value)
    _check_range(parameter, value)
    return value


def _fits(parameter: Parameter, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match parameter.type:
        case "string":
            return isinstance(value, str)
        case "integer":
            return number and isinstance(value, int)
        case "number":
            return number
        case "boolean":
            return isinstance(value, bool)
        case "duration":
            return isinstance(value, str) and _DURATION.fullmatch(value) is not None
        case "bytes":
            return (number and isinstance(value, int)) or (
                isinstance(value, str) and _BYTES.fullmatch(value) is not None
            )
        case "list":
            return isinstance(value, list)
        case "map":
            return isinstance(value, dict)
        case "enum":
            return isinstance(value, str) and value in parameter.values


def _bytes(value: int | str) -> int:
    if isinstance(value, int):
        return value
    match = _BYTES.fullmatch(value)
    assert match, "checked before"
    return int(match[1]) * _BYTES_FACTOR[match[2]]


def _check_range(parameter: Parameter, value: Any) -> None:
    if not isinstance(value, int | float):
        return
    if not isinstance(parameter.minimum, UnsetType) and value < parameter.minimum:
        raise ParameterError(f"must be at least {parameter.minimum}, not {value}")
    if not isinstance(parameter.maximum, UnsetType) and value > parameter.maximum:
        raise ParameterError(f"must be at most {parameter.maximum}, not {value}")


def is_required(parameter: Parameter) -> bool:
    return parameter.default is UNSET


def _shown(value: Any) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f"the text `{value[:60]}`"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "nothing"
