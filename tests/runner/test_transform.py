from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.engine import Engine
from gitopsd.runner.settings import Settings
from tests.runner.station import events, until

if TYPE_CHECKING:
    from tests.runner.station import Station
    from tests.runner.transports.kind import Transports

PARSE = {"parse": "json"}


def engine(*actions: dict[str, Any]) -> Engine:
    return Engine([Settings(action, f"with.actions[{number}]") for number, action in enumerate(actions)])


def kept(data: str, *actions: dict[str, Any]) -> str:
    result = engine(*actions).apply(data.encode())
    assert result.failed == b""
    return result.kept.decode()


def failure(data: bytes, *actions: dict[str, Any]) -> dict[str, Any]:
    result = engine(*actions).apply(data)
    assert result.kept == b""
    assert result.failures == 1
    error: dict[str, Any] = json.loads(result.failed)
    assert error["error"]
    return error


def test_events_that_no_action_rewrites_keep_their_bytes() -> None:
    odd = '{ "a" : 1.0, "a":2,  "b":"\\u00e9"}\n 7 \n'
    assert kept(odd, PARSE) == odd
    assert kept(odd, {"filter": "`1`"}) == odd


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("level == 'info'", True),
        ("level != 'info'", False),
        ("count > `0`", False),
        ("count == `0`", True),
        ("count", True),  # 0 is true in JMESPath
        ("missing", False),
        ("empty", False),
        ("list[?@ > `1`]", True),
        ("list[?@ > `5`]", False),
        ("contains(level, 'nf') && !missing", True),
        ("false", False),
    ],
)
def test_a_filter_keeps_what_its_expression_calls_true(condition: str, passes: bool) -> None:
    event = '{"level":"info","count":0,"empty":"","list":[1,2],"false":false}\n'
    assert kept(event, {"filter": condition}) == (event if passes else "")


def test_fields_are_set_from_the_event_as_it_was_before() -> None:
    """job.json is sorted, so the order of one action's fields can't mean anything."""
    assert kept('{"a":1,"b":2}\n', {"set": {"a": "b", "b": "a", "c": "[a, b]"}}) == '{"a":2,"b":1,"c":[1,2]}\n'
    assert kept('{"a":1}\n', {"set": {"self": "@"}}) == '{"a":1,"self":{"a":1}}\n'


def test_fields_are_renamed_at_once_and_missing_ones_are_left_out() -> None:
    assert kept('{"a":1,"b":2,"c":3}\n', {"rename": {"a": "b", "b": "a", "x": "y"}}) == '{"c":3,"b":1,"a":2}\n'


def test_fields_are_removed() -> None:
    assert kept('{"a":1,"b":{"a":2},"c":3}\n', {"remove": ["a", "c", "x"]}) == '{"b":{"a":2}}\n'


def test_actions_follow_one_another() -> None:
    actions: list[dict[str, Any]] = [
        PARSE,
        {"set": {"n": "length(name)"}},
        {"filter": "n > `2`"},
        {"rename": {"n": "size"}},
    ]
    assert kept('{"name":"ab"}\n{"name":"abé"}\n', *actions) == '{"name":"abé","size":3}\n'


@pytest.mark.parametrize("bad", ["", "{", "{'a': 1}", '{"a": NaN}', "[1] 2", "1" * 5000 + "e", "[" * 100_000])
def test_what_is_not_json_goes_to_error_with_its_reason_and_text(bad: str) -> None:
    assert failure(f"{bad}\n".encode(), PARSE)["event"] == bad


@pytest.mark.parametrize(
    "action",
    [
        {"set": {"b": "a"}},
        {"remove": ["a"]},
        {"rename": {"a": "b"}},
        {"filter": "length(@)"},
        {"filter": "abs('x')"},
    ],
)
def test_an_event_that_an_action_cannot_take_goes_to_error(action: dict[str, Any]) -> None:
    assert failure(b"7\n", action)["event"] == "7"


def test_what_is_not_utf8_goes_to_error_in_base64_and_takes_nothing_along() -> None:
    result = engine(PARSE).apply(b'"a"\n"\xff\r"\n{\n"b\\u2028"\n')
    assert result.kept == b'"a"\n"b\\u2028"\n'
    assert [json.loads(line) for line in result.failed.splitlines()] == [
        {"error": "the event is not UTF-8", "event_base64": "Iv8NIg=="},
        {"error": "the event is not JSON: Expecting property name enclosed in double quotes at column 2", "event": "{"},
    ]


def test_half_a_surrogate_pair_keeps_its_escape_and_takes_nothing_along() -> None:
    assert kept('{"a":"\\ud800","b":1}\n{"a":"é"}\n', {"remove": ["b"]}) == '{"a":"\\ud800"}\n{"a":"é"}\n'


def test_an_event_that_grows_beyond_what_a_channel_carries_goes_to_error() -> None:
    doubled = {"set": {"b": "a", "c": "a"}}
    error = failure(b'{"a":"' + b"x" * (6 << 20) + b'"}\n', doubled)
    assert error["truncated"] is True
    assert error["event"].startswith('{"a":"xxx')
    assert len(error["event"]) == 1 << 20


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"filter": "a =="}, r"actions\[0\] is not a JMESPath expression"),
        ({"filter": "nope(a)"}, r"actions\[0\] calls nope\(\)"),
        ({"set": {"x": "[?nope(@)]"}}, r"actions\[0\]\.set\.x calls nope\(\)"),
        ({"parse": "xml"}, "parse must be json"),
        ({"explode": "a"}, "must be one of parse, filter, set, rename, remove"),
        ({"filter": "a", "set": {}}, "must be one of"),
        ({"remove": "a"}, "must be a list"),
    ],
)
def test_an_action_that_makes_no_sense_fails_the_job_at_its_start(action: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        engine(action)


def test_both_ports_get_theirs(every_python: Station, worker: Transports) -> None:
    station = every_python
    station.put("a", events(1000) + b"not json\n" + events(1000, start=1000))
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": [PARSE, {"filter": "n < `1500`"}, {"remove": ["text"]}]},
        inputs=[worker.input("shape")],
        outputs={"default": [worker.output({"good": 1})], "error": [worker.output({"bad": 1})]},
    )
    running = [
        station.start(job),
        station.start(station.writes([worker.input("good")], job="o.good.0")),
        station.start(station.writes([worker.input("bad")], job="o.bad.0")),
    ]
    producer = station.start(station.reads([worker.output({"shape": 1})]))
    assert producer.finish() == 0, producer.said()
    until(lambda: station.written("o.good.0") == b"".join(b'{"n":%d}\n' % n for n in range(1500)), *running)
    until(lambda: [json.loads(line)["event"] for line in station.lines("o.bad.0")] == ["not json"], *running)
    assert [process.stop() for process in running] == [0, 0, 0]


def test_failures_without_an_error_port_are_counted_and_said(station: Station, worker: Transports) -> None:
    station.put("a", b"oops\n" * 10 + events(10))
    job = station.runner(
        "o.shape.0",
        "transform",
        {"actions": [PARSE]},
        inputs=[worker.input("shape")],
        outputs=[worker.output({"deliver": 1})],
    )
    shape = station.start(job)
    consumer = station.start(station.writes([worker.input("deliver")]))
    assert station.start(station.reads([worker.output({"shape": 1})])).finish() == 0
    until(lambda: station.written() == events(10), shape, consumer)
    assert shape.stop() == 0
    assert "10 events dropped, the first since: the event is not JSON" in shape.said()
    assert "20 events done, 10 failed" in shape.said()
