"""Values of parameters against their declarations, and the declarations themselves."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import UNSET, UnsetType

from gitopsd.compiler.expressions.texts import OPENING, has_expression
from gitopsd.compiler.words import word_for
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.workflow import Parameter

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_BYTES = re.compile(r"([0-9]{1,15})([KMGT]?)(?:i?B)?")
_BYTES_FACTOR = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_WITH_RANGE = ("integer", "number", "duration", "bytes")

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
        raise ParameterError(f"must be {wanted}, not {word_for(value)}")
    _check_range(parameter, value)
    return _bytes(value) if parameter.type == "bytes" else value


def is_required(parameter: Parameter) -> bool:
    return parameter.default is UNSET


def parameter_mistakes(params: Mapping[str, Parameter], document: Document) -> Iterator[Diagnostic]:
    """What is wrong with the declarations under `params:`, whether they are used or not."""
    for key, parameter in params.items():
        way = ("params", key)
        if parameter.type == "enum" and not parameter.values:
            yield Diagnostic(
                code="missing-key",
                message=f"the parameter `{key}` is an enum and needs the key `values`",
                location=document.locate_key(*way),
                hint="add `values: [one, two]`",
            )
            continue
        misused = "values" if parameter.type != "enum" and parameter.values else _misused_range(parameter)
        if misused:
            yield Diagnostic(
                code="conflicting-keys",
                message=f"`{misused}` says nothing about a parameter of the type {parameter.type}",
                location=document.locate_key(*way, misused),
                hint=f"remove `{misused}`, or change the type",
            )
            continue
        wrong_limits = list(_limit_mistakes(key, parameter, document))
        yield from wrong_limits
        if not wrong_limits and not is_required(parameter):
            yield from _default_mistake(key, parameter, document)


def _default_mistake(key: str, parameter: Parameter, document: Document) -> Iterator[Diagnostic]:
    if has_expression(parameter.default):
        yield not_evaluated(f"the default of `{key}`", document, "params", key, "default")
        return
    try:
        checked(parameter, parameter.default)
    except ParameterError as error:
        place = document.locate("params", key, "default")
        yield Diagnostic(code="wrong-type", message=f"the default of `{key}` {error}", location=place)


def not_evaluated(what: str, document: Document, *pointer: str) -> Diagnostic:
    """An expression in a place where nothing evaluates it: it would reach the job as it stands."""
    return Diagnostic(
        code="bad-expression",
        message=f"{what} is taken as it is written: `{OPENING}` would reach the job",
        location=document.locate(*pointer),
        hint="expressions belong under a step's `with`, a channel's `path` and a blueprint's `job`",
    )


def _misused_range(parameter: Parameter) -> str:
    if parameter.type in _WITH_RANGE:
        return ""
    return next((key for key, value in _limits(parameter).items() if not isinstance(value, UnsetType)), "")


def _limits(parameter: Parameter) -> dict[str, int | float | str | UnsetType]:
    return {"minimum": parameter.minimum, "maximum": parameter.maximum}


def _limit_mistakes(key: str, parameter: Parameter, document: Document) -> Iterator[Diagnostic]:
    """A limit is written as a value of the parameter is."""
    for name, limit in _limits(parameter).items():
        if not isinstance(limit, UnsetType) and not _fits(parameter, limit):
            yield Diagnostic(
                code="wrong-type",
                message=f"the {name} of `{key}` must be {_WORDS[parameter.type]}, not {word_for(limit)}",
                location=document.locate("params", key, name),
            )


def _fits(parameter: Parameter, value: Any) -> bool:
    match value:
        case bool():
            return parameter.type == "boolean"
        case int():
            return parameter.type in {"integer", "number"} or (parameter.type == "bytes" and value >= 0)
        case float():
            return parameter.type == "number"
        case str():
            return _text_fits(parameter, value)
        case _:
            return {"list": list, "map": dict}.get(parameter.type) is type(value)


def _text_fits(parameter: Parameter, text: str) -> bool:
    match parameter.type:
        case "enum":
            return text in parameter.values
        case "duration":
            return _DURATION.fullmatch(text) is not None
        case "bytes":
            return _BYTES.fullmatch(text) is not None
        case _:
            return parameter.type == "string"


def _bytes(value: int | str) -> int:
    match = _BYTES.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) * _BYTES_FACTOR[match[2]] if match else int(value)


def _check_range(parameter: Parameter, value: Any) -> None:
    if parameter.type not in _WITH_RANGE:
        return
    amount = _amount(parameter, value)
    if not isinstance(parameter.minimum, UnsetType) and amount < _amount(parameter, parameter.minimum):
        raise ParameterError(f"must be at least {parameter.minimum}, not {value}")
    if not isinstance(parameter.maximum, UnsetType) and amount > _amount(parameter, parameter.maximum):
        raise ParameterError(f"must be at most {parameter.maximum}, not {value}")


def _amount(parameter: Parameter, value: Any) -> Decimal | int | float:
    """A value that can be compared with others of its type: bytes, seconds, or the number that it is."""
    if parameter.type == "bytes":
        return _bytes(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match:
        return Decimal(match[1]) * _SECONDS[match[2]]
    number: int | float = value
    return number
