"""Why an action can't be done to an event, for whoever wrote the action."""

from __future__ import annotations

import json
import re

from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import TYPES_MAP

_COMPARED = re.compile(r"'([<>]=?)' not supported between instances of '(\w+)' and '(\w+)'")
_KINDS = {"str": "a text", "int": "a number", "float": "a number"}


REASONS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What expressions raise: ValueError is everything JMESPath raises on purpose, the others leak out of its functions."""


def reason_of(error: Exception) -> str:
    """What the mistake is, without the words of Python and of JMESPath's library where they say it in theirs."""
    if isinstance(error, JMESPathTypeError):
        given = TYPES_MAP.get(str(error.actual_type), error.actual_type)
        return f"{error.function_name}() takes {' or '.join(map(str, error.expected_types))}, not {given}"
    compared = _COMPARED.fullmatch(str(error)) if isinstance(error, TypeError) else None
    if compared is not None:
        operator, left, right = compared.groups()
        return f"{operator} can't compare {_KINDS.get(left, left)} with {_KINDS.get(right, right)}"
    return str(error) or type(error).__name__


def reason_of_line(error: Exception, line: str) -> str:
    """The same of a line that maybe isn't JSON at all."""
    if isinstance(error, StopIteration):
        error = json.JSONDecodeError("Expecting value", line, error.value)
    if isinstance(error, json.JSONDecodeError):
        return f"the event is not JSON: {error.msg} at column {error.colno}"
    return reason_of(error)
