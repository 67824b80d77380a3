"""What docs/reference/transform.md has no example of: bounds, odd events, and settings that make no sense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.actions import check_order
from gitopsd.runner.roles.transform.engine import Engine
from gitopsd.runner.settings import Settings


def _settings(*actions: dict[str, Any]) -> list[Settings]:
    return [Settings(action, f"actions[{number}]") for number, action in enumerate(actions)]


def _kept(data: str, *actions: dict[str, Any]) -> str:
    result = Engine(_settings(*actions)).apply(data.encode())
    assert result.failed == b""
    return result.kept.decode()


def _reason(data: str, *actions: dict[str, Any]) -> str:
    result = Engine(_settings(*actions)).apply(data.encode())
    assert result.kept == b""
    (error,) = map(json.loads, result.failed.splitlines())
    assert error["event"] + "\n" == data
    return str(error["error"])


def _parsed(format_: str, text: object, **settings: object) -> object:
    parse = {"parse": {"field": "f", "format": format_, **settings}}
    return json.loads(_kept(json.dumps({"f": text}) + "\n", parse))["f"]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"filter": "s > `1`"}, "filter: > can't compare a text with a number"),
        ({"set": {"big": "s >= `1`"}}, "big: >= can't compare a text with a number"),
        ({"set": {"a": "s", "big": "sum(l)"}}, "big: sum() takes array-number, not string"),
        ({"filter": "starts_with(gone, 's')"}, "filter: starts_with() takes string, not null"),
        ({"parse": {"field": "s", "format": "json"}}, "s: it is not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_the_reason_names_what_could_not_be_worked_out_in_words_of_its_own(action: dict[str, Any], reason: str) -> None:
    assert _reason('{"s":"x","l":["x"]}\n', action) == reason


def test_the_reason_names_the_route_that_could_not_be_told() -> None:
    engine = Engine([], Settings({"fine": "s == 'y'", "odd": "s < `1`"}, "route"))
    assert engine.apply(b'{"s":"x"}\n').first_reason == "route odd: < can't compare a text with a number"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1.50, "big":123456789012345678901}', '{"a":1.50, "big":123456789012345678901,"s":"x"}'),
        ('{"e":"\\u00e9"}', '{"e":"\\u00e9","s":"x"}'),
        ('{"s":0,"a":1.50}', '{"s":"x","a":1.5}'),
        ("{}", '{"s":"x"}'),
        (' {"a":1.50}\r', '{"a":1.5,"s":"x"}'),
        ('{"a":1,"a":2}', '{"a":1,"a":2,"s":"x"}'),
    ],
)  # fmt: skip
def test_a_new_field_goes_behind_the_others_which_keep_their_bytes(before: str, after: str) -> None:
    assert _kept(before + "\n", {"filter": "`true`"}, {"set": {"s": "'x'"}}) == after + "\n"


def test_fields_that_are_set_one_after_the_other_see_each_other() -> None:
    actions = ({"set": {"b": "a", "c": "'1'"}}, {"set": {"d": "b"}}, {"set": {"d": "[d, c]"}})
    assert json.loads(_kept('{"a":"\\ud83d\\ude00"}\n', *actions)) == {"a": "😀", "b": "😀", "c": "1", "d": ["😀", "1"]}


@pytest.mark.parametrize(
    ("format_", "text", "settings", "value"),
    [
        ("csv", "a;b", {"columns": ["x", "y"], "separator": ";"}, {"x": "a", "y": "b"}),
        ("csv", "", {"columns": ["x"]}, None),
        ("csv", "a,b,c", {"columns": ["x", "y"]}, None),
        ("csv", 'a,"b', {"columns": ["x", "y"]}, None),
        ("csv", "a\nb", {"columns": ["x"]}, None),
        ("key-value", "a=1;b = 2;c", {"separator": ";"}, None),
        ("key-value", "a:1,b:x y,c", {"separator": ",", "assign": ":"}, {"a": "1", "b": "x y", "c": True}),
        ("key-value", ' a="x=\\"1\\"" b= c=é ', {}, {"a": 'x="1"', "b": "", "c": "é"}),
        ("key-value", 'a="x', {}, {"a": '"x'}),
        ("key-value", "=1", {}, None),
        ("key-value", "", {}, {}),
        ("regex", "abc", {"pattern": "(?P<b>b)|(?P<x>x)"}, {"b": "b", "x": None}),
        ("regex", "abc", {"pattern": "(?P<x>x)"}, None),
        ("regex", 7, {"pattern": "(?P<x>7)"}, None),
        ("json", "[1, 2] ", {}, [1, 2]),
        ("json", "NaN", {}, None),
        ("json", 7, {}, None),
        ("timestamp", "2024-05-01T12:00:00.123456789+02:00", {}, "2024-05-01T10:00:00.123456Z"),
        ("timestamp", "2024-05-01 12:00", {"zone": "-03:30"}, "2024-05-01T15:30:00Z"),
        ("timestamp", "2024-02-30T12:00:00Z", {}, None),
        ("timestamp", "2024-05-01T12:00:00", {"zone": "Europe/Berlin", "to": "epoch"}, 1714557600),
        ("timestamp", "2024-10-27T02:30:00", {"zone": "Europe/Berlin"}, "2024-10-27T00:30:00Z"),
        ("timestamp", "9999-12-31T23:59:59-10:00", {}, None),
        ("timestamp", 1714557600.5, {"pattern": "epoch"}, "2024-05-01T10:00:00.500000Z"),
        ("timestamp", "1714557600000", {"pattern": "epoch-milliseconds"}, "2024-05-01T10:00:00Z"),
        ("timestamp", 1e300, {"pattern": "epoch"}, None),
        ("timestamp", True, {"pattern": "epoch"}, None),
        ("timestamp", "01 May 24 +0100", {"pattern": "%d %b %y %z"}, "2024-04-30T23:00:00Z"),
        ("timestamp", "yesterday", {"pattern": "%Y"}, None),
    ],
)
def test_a_text_is_parsed_or_goes_to_error(
    format_: str, text: object, settings: dict[str, object], value: object
) -> None:
    if value is None:
        parse = {"parse": {"field": "f", "format": format_, **settings}}
        assert _reason(json.dumps({"f": text}) + "\n", parse).startswith("f: ")
    else:
        assert _parsed(format_, text, **settings) == value


def test_what_is_parsed_into_the_event_must_be_an_object() -> None:
    parse = {"parse": {"field": "f", "format": "json", "into": "@"}}
    assert _kept('{"f":"{\\"a\\":1}","a":0}\n', parse) == '{"f":"{\\"a\\":1}","a":1}\n'
    assert "is not an object" in _reason('{"f":"[1]"}\n', parse)
    assert _reason('{"g":1}\n', parse) == "the event has no field f"


def test_each_event_that_came_of_one_fails_by_itself() -> None:
    actions = _settings({"unnest": "a"}, {"set": {"n": "length(a)"}}, {"unnest": "a"})
    result = Engine(actions).apply(b'{"a":[[1,2],7,"xy",[]]}\n')
    assert result.kept == b'{"a":1,"n":2}\n{"a":2,"n":2}\n'
    assert [json.loads(line)["event"] for line in result.failed.splitlines()] == ['{"a":7}', '{"a":"xy"}']


def test_a_list_whose_neighbours_would_be_repeated_too_often_goes_to_error() -> None:
    event = json.dumps({"text": "x" * 1_000_000, "a": list(range(100))}) + "\n"
    result = Engine(_settings({"unnest": "a"})).apply(event.encode())
    assert (result.kept, result.failures) == (b"", 1)
    assert "come to too much" in result.first_reason


def test_two_fields_of_one_name_do_not_hide_each_other() -> None:
    assert _reason('{"a":{"b":1},"a.b":2}\n', {"flatten": "."}) == "two fields would be called a.b"


def test_a_share_of_the_events_is_kept_evenly() -> None:
    numbered = "".join(f"{number}\n" for number in range(1, 1001))
    assert _kept(numbered, {"sample": 0.25}).split()[:3] == ["4", "8", "12"]
    assert len(_kept(numbered, {"sample": 1 / 3}).split()) == 333
    assert _kept(numbered, {"sample": 1}) == numbered


def test_events_of_one_key_share_their_fate() -> None:
    events = "".join(f'{{"k":{number % 100},"n":{number}}}\n' for number in range(1000))
    kept = [json.loads(line)["k"] for line in _kept(events, {"sample": {"rate": 0.3, "by": "k"}}).splitlines()]
    assert len(kept) == 10 * len(set(kept))
    assert 15 < len(set(kept)) < 45


def test_values_are_told_apart_as_jmespath_does() -> None:
    values = [
        "1",
        "1.0",
        '"1"',
        "true",
        "null",
        "null",
        '{"a":1,"b":2}',
        '{"b":2,"a":1}',
        f'"{"x" * 99}"',
        f'"{"x" * 99}"',
    ]
    data = "".join(f'{{"k":{value}}}\n' for value in values)
    kept = [json.loads(line)["k"] for line in _kept(data, {"dedupe": "k"}).splitlines()]
    assert kept == [1, "1", True, None, None, {"a": 1, "b": 2}, "x" * 99]


def test_only_so_many_values_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [1, 2, 3, 1, 3]
    data = "".join(f'{{"k":{key}}}\n' for key in keys)
    dedupe = {"dedupe": {"by": "k", "events": 2}}
    assert [json.loads(line)["k"] for line in _kept(data, dedupe).splitlines()] == [1, 2, 3, 1]
    now = [100.0]
    monkeypatch.setattr("gitopsd.runner.roles.transform.thinning.time.monotonic", lambda: now[0])
    timed = Engine(_settings({"dedupe": {"by": "k", "seconds": 10}}))
    assert timed.apply(b'{"k":1}\n{"k":1}\n').kept == b'{"k":1}\n'
    now[0] = 110.0
    assert timed.apply(b'{"k":1}\n').kept == b'{"k":1}\n'


def test_an_event_whose_route_cannot_be_told_goes_to_error_only() -> None:
    route = Settings({"long": "length(a) > `1`", "every": "`true`"}, "route")
    result = Engine([], route).apply(b'{"a":"xy"}\n{"a":7}\n')
    assert result.ports == {"default": b"", "long": b'{"a":"xy"}\n', "every": b'{"a":"xy"}\n'}
    assert json.loads(result.failed)["event"] == '{"a":7}'


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"parse": {"field": "a", "format": "xml"}}, "format must be json or csv"),
        ({"parse": {"field": "a", "format": "json", "columns": ["a"]}}, r"actions\[0\]\.parse has no columns, only"),
        ({"parse": {"field": "a", "format": "csv"}}, "columns must be a list"),
        ({"parse": {"field": "a", "format": "csv", "columns": ["a"], "separator": ",,"}}, "separator must be one"),
        ({"parse": {"field": "a", "format": "regex", "pattern": "("}}, "is not a regular expression"),
        ({"parse": {"field": "a", "format": "regex", "pattern": "(a)"}}, "names no group"),
        ({"parse": {"field": "a", "format": "regex", "pattern": "(?P<a>x++)"}}, "which Python 3.9 can't read"),
        ({"parse": {"field": "a", "format": "regex", "pattern": "(?P<a>(?>x))"}}, "which Python 3.9 can't read"),
        ({"parse": {"field": "a", "format": "timestamp", "pattern": "%H:%M"}}, "a pattern with the year"),
        ({"parse": {"field": "a", "format": "timestamp", "pattern": "%Y %Z"}}, "has %Z, which not every worker"),
        ({"parse": {"field": "a", "format": "timestamp", "zone": "../x"}}, "zone must be the name of a time zone"),
        ({"parse": {"field": "a", "format": "timestamp", "zone": "Mars/Olympus"}}, "doesn't know the time zone Mars"),
        ({"flatten": 7}, "flatten must be a text"),
        ({"sample": 0}, "sample must be more than 0 and at most 1"),
        ({"sample": {"rate": 0.1, "key": "a"}}, "has no key, only rate, by"),
        ({"dedupe": {"by": "a", "events": 0}}, "events must be 1 to"),
        ({"dedupe": {"by": "a", "seconds": -1}}, "seconds must be 0 or more"),
        ({"batch": 0}, "batch must be 1 or more"),
        ({"batch": {"events": 5, "seconds": 0}}, "seconds must be more than 0"),
    ],
)
def test_settings_that_make_no_sense_fail_the_job_at_its_start(action: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        Engine(_settings(action))


def test_a_possessive_mark_that_is_only_text_is_fine() -> None:
    assert _parsed("regex", "a*+", pattern=r"(?P<a>a\*\+|[*+]+\+)") == {"a": "a*+"}


def test_nothing_follows_a_batch_and_ports_have_one_meaning() -> None:
    with pytest.raises(JobError, match=r"actions\[0\] is a batch, and actions follow it"):
        check_order(_settings({"batch": 5}, {"remove": ["a"]}))
    with pytest.raises(JobError, match="names the port error"):
        Engine([], Settings({"error": "a"}, "route"))
