"""Parameters, features, constraints: small languages, each with what it takes and what it refuses."""

from typing import Any

import msgspec
import pytest

from gitopsd.compiler.parameters import ParameterError, checked
from gitopsd.compiler.paths import is_below
from gitopsd.compiler.placement.constraints import parse_constraint
from gitopsd.compiler.placement.features import is_feature, parse_requirement, unmet
from gitopsd.model.workflow import Parameter


def parameter(**keys: Any) -> Parameter:
    return msgspec.convert(keys, Parameter)


@pytest.mark.parametrize(
    ("keys", "value", "result"),
    [
        ({"type": "string"}, "a", "a"),
        ({"type": "integer"}, 5, 5),
        ({"type": "number"}, 5, 5),
        ({"type": "number"}, 0.5, 0.5),
        ({"type": "boolean"}, False, False),
        ({"type": "duration"}, "10s", "10s"),
        ({"type": "duration"}, "1.5h", "1.5h"),
        ({"type": "bytes"}, "64K", 65536),
        ({"type": "bytes"}, "1GiB", 1 << 30),
        ({"type": "bytes"}, 10, 10),
        ({"type": "list"}, [1], [1]),
        ({"type": "map"}, {"a": 1}, {"a": 1}),
        ({"type": "enum", "values": ["a", "b"]}, "b", "b"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 3, 3),
        ({"type": "bytes", "minimum": 1}, "1K", 1024),
    ],
)
def test_a_value_that_fits_is_taken(keys: dict[str, Any], value: object, result: object) -> None:
    assert checked(parameter(**keys), value) == result


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ({"type": "string"}, 5, "must be text, not the number 5"),
        ({"type": "integer"}, True, "a whole number, not `true`"),
        ({"type": "integer"}, 1.0, "a whole number"),
        ({"type": "number"}, "5", "a number, not the text `5`"),
        ({"type": "boolean"}, "yes", "true or false"),
        ({"type": "duration"}, 10, "a duration"),
        ({"type": "duration"}, "10", "a duration"),
        ({"type": "duration"}, "9" * 400 + "s", "a duration"),
        ({"type": "bytes"}, -1, "a size"),
        ({"type": "bytes"}, "1.5M", "a size"),
        ({"type": "bytes"}, True, "a size"),
        ({"type": "list"}, {}, "a list, not a mapping"),
        ({"type": "map"}, [], "a mapping, not a list"),
        ({"type": "enum", "values": ["a", "b"]}, "c", "one of `a`, `b`"),
        ({"type": "enum", "values": ["1"]}, 1, "one of `1`"),
        ({"type": "integer", "minimum": 1}, 0, "at least 1, not 0"),
        ({"type": "number", "maximum": 1}, 1.5, "at most 1, not 1.5"),
        ({"type": "string"}, None, "not nothing"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(keys: dict[str, Any], value: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        checked(parameter(**keys), value)


@pytest.mark.parametrize(
    ("required", "declared", "reason"),
    [
        ("python3", ["python3"], ""),
        ("python3", ["python3==3.11"], ""),
        ("python3", ["nats"], "it doesn't declare the feature `python3`"),
        ("python3", ["python3x"], "it doesn't declare the feature `python3`"),
        ("python3>=3.9", ["python3==3.9"], ""),
        ("python3>=3.9", ["python3==3.11.2"], ""),
        ("python3 >= 3.9", [" python3 == 3.10 "], ""),
        ("python3>=3.9", ["python3==3.8.99"], "in version `3.8.99`"),
        ("python3>=3.9", ["python3"], "without a version"),
        ("python3<4", ["python3==3.9"], ""),
        ("python3==3", ["python3==3.0.0"], ""),
        ("python3!=3.11", ["python3==3.11.0"], "in version `3.11.0`"),
        ("python3>3", ["python3==3"], "in version `3`"),
        ("python3>=3.9", ["python3==2.7", "python3==3.12"], ""),
    ],
)
def test_a_required_feature_is_met_or_the_reason_is_said(required: str, declared: list[str], reason: str) -> None:
    assert reason in unmet(required, declared)
    assert bool(reason) == bool(unmet(required, declared))


@pytest.mark.parametrize(
    "text", ["", "Python", "python3>=", "python3>=a", "python3 3.9", ">=3", "python3~=3.9", "a" * 5 + "\n;"]
)
def test_a_feature_that_cannot_be_read_is_refused(text: str) -> None:
    assert parse_requirement(text) is None
    assert not is_feature(text)


@pytest.mark.parametrize(
    ("text", "labels", "reason"),
    [
        ("label.region == eu", {"region": "eu"}, ""),
        ("label.region==eu", {"region": "us"}, "its label `region` is `us`"),
        ("label.region == eu", {}, "it has no label `region`"),
        ("label.region != eu", {}, ""),
        ("label.region != eu", {"region": "eu"}, "its label `region` is `eu`"),
        (" label.a.b-c != x ", {"a.b-c": "y"}, ""),
    ],
)
def test_a_constraint_holds_or_the_reason_is_said(text: str, labels: dict[str, str], reason: str) -> None:
    constraint = parse_constraint(text)
    assert constraint is not None
    assert constraint.refusal(labels) == reason


@pytest.mark.parametrize(
    "text", ["", "region == eu", "label.region = eu", "label.region == ", "label. == eu", "label.a == b == c"]
)
def test_a_constraint_that_cannot_be_read_is_refused(text: str) -> None:
    assert parse_constraint(text) is None


@pytest.mark.parametrize("path", ["a", "a/b.txt", "a b", "é", "..a/b", "a/.hidden"])
def test_a_path_below_its_directory_is_taken(path: str) -> None:
    assert is_below(path)


@pytest.mark.parametrize(
    "path", ["", "/a", "../a", "a/..", "a//b", "a/", "./a", ".git/config", "a/.GIT", "a\\b", "a\nb", "a\0"]
)
def test_a_path_that_leaves_its_directory_is_refused(path: str) -> None:
    assert not is_below(path)
