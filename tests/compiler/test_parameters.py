"""Values of parameters against what is declared of them."""

from typing import Any

import pytest
from msgspec import UNSET

from gitopsd.compiler.parameters import ParameterError, checked
from gitopsd.model.workflow import Parameter


@pytest.mark.parametrize(
    ("declared", "fits", "too_small", "too_large"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 5}, [1, 5], [0], [6]),
        ({"type": "number", "minimum": 0.5, "maximum": 2}, [0.5, 2], [0.4], [2.5]),
        ({"type": "duration", "minimum": "1s", "maximum": "2m"}, ["1000ms", "90s", "2m"], ["999ms", "0.5s"], ["121s"]),
        ({"type": "bytes", "minimum": "1K", "maximum": "1M"}, ["1K", 2048, "1024K"], [1023, "1"], ["2M", "1G"]),
    ],
)
def test_a_range_holds_for_every_type_that_has_an_order(
    declared: dict[str, Any], fits: list[Any], too_small: list[Any], too_large: list[Any]
) -> None:
    parameter = Parameter(**declared)
    for value in fits:
        checked(parameter, value)
    for value in too_small:
        with pytest.raises(ParameterError, match=f"must be at least {declared['minimum']}"):
            checked(parameter, value)
    for value in too_large:
        with pytest.raises(ParameterError, match=f"must be at most {declared['maximum']}"):
            checked(parameter, value)


@pytest.mark.parametrize("kind", ["string", "boolean", "list", "map", "duration", "bytes", "integer", "number"])
def test_a_value_of_another_type_is_refused(kind: Any) -> None:
    values = {
        "string": "text", "boolean": True, "list": [1], "map": {"a": 1}, "duration": "5m", "bytes": "64K",
        "integer": 1, "number": 1.5,
    }  # fmt: skip
    parameter = Parameter(type=kind)
    assert parameter.default is UNSET
    checked(parameter, values[kind])
    # whole numbers are numbers, and sizes in bytes; durations and sizes are text
    alike = {"number": {"integer"}, "bytes": {"integer"}, "string": {"duration", "bytes"}}.get(kind, set())
    for other in values.keys() - {kind} - alike:
        with pytest.raises(ParameterError, match="must be"):
            checked(parameter, values[other])
