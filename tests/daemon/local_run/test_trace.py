"""Events before and after each action of a transform."""

from typing import Any

from gitopsd.daemon.local_run.trace import trace_events


def traced(actions: list[Any], *events: bytes) -> list[list[tuple[str, tuple[bytes, ...]]]]:
    return [[(one.result, one.after) for one in event.actions] for event in trace_events({"actions": actions}, events)]


def test_an_event_is_followed_until_it_is_dropped_or_fails() -> None:
    actions = [{"filter": "a"}, {"set": {"b": "a"}}, {"filter": "b > `1`"}]
    assert traced(actions, b'{"a":2}', b'{"a":1}', b"{}", b"x") == [
        [("kept", (b'{"a":2}',)), ("changed", (b'{"a":2,"b":2}',)), ("kept", (b'{"a":2,"b":2}',))],
        [("kept", (b'{"a":1}',)), ("changed", (b'{"a":1,"b":1}',)), ("dropped", ())],
        [("dropped", ())],
        [("failed", (b'{"error":"the event is not JSON: Expecting value at column 1","event":"x"}',))],
    ]


def test_what_is_shown_before_an_action_is_what_came_of_the_one_before() -> None:
    (event,) = trace_events({"actions": [{"set": {"b": "a"}}, {"remove": ["a"]}]}, [b'{"a":1}'])
    assert [one.before for one in event.actions] == [(b'{"a":1}',), (b'{"a":1,"b":1}',)]
    assert (event.number, event.event) == (1, b'{"a":1}')


def test_the_ports_that_an_event_went_to_are_named() -> None:
    settings = {"actions": [{"filter": "a"}], "route": {"large": "a > `5`", "odd": "a == `7`"}}
    events = trace_events(settings, [b'{"a":1}', b'{"a":7}', b"{}", b"x"])
    assert [event.ports for event in events] == [("default",), ("large", "odd"), (), ("error",)]


def test_a_trace_ends_where_a_program_is_asked_and_asks_it_nothing() -> None:
    actions = [{"filter": "a"}, {"exec": ["/nowhere/program"]}, {"remove": ["a"]}]
    (event,) = trace_events({"actions": actions}, [b'{"a":1}'])
    assert [one.result for one in event.actions] == ["kept", "program"]
    assert event.ports == ()
