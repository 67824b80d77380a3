"""Which events come out differently: through transforms alone, and only where these differ."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gitopsd.compiler.event_tests import EventCase, prepare_test, read_tests
from gitopsd.compiler.front import compile_front
from gitopsd.planner.events.differences import EventDifference, event_differences
from gitopsd.planner.events.flow import is_transform
from tests.contents import in_memory

FLEET = "groups: {local: {workers: {local-1: {connection: local, service_manager: supervisor}}}}\n"


def workflow(first: str, second: str, *, between: str = "std/transform", given: str = "") -> str:
    middle = given or f"actions: {second}"
    return f"""\
workflow: orders
steps:
  collect: {{use: std/read-files, with: {{glob: /srv/in/*}}, out: raw, place: {{group: local}}}}
  first:
    use: std/transform
    in: raw
    out: {{default: ok, error: bad}}
    with: {{actions: {first}}}
    place: {{group: local}}
  second:
    use: {between}
    in: ok
    out: done
    with: {{{middle}}}
    place: {{group: local}}
  deliver: {{use: std/write-files, in: done, with: {{path: /srv/out}}, place: {{group: local}}}}
  reject: {{use: std/write-files, in: bad, with: {{path: /srv/bad}}, place: {{group: local}}}}
channels:
  raw: {{transport: worker}}
  ok: {{transport: worker}}
  bad: {{transport: worker}}
  done: {{transport: worker}}
"""


def case(workflow_text: str, given: str = "raw: [{qty: 1}, {qty: 3}]") -> EventCase:
    files = {
        "gitopsd.yaml": "environments: {production: {fleet: fleets/local.yaml}}\n",
        "fleets/local.yaml": FLEET,
        "workflows/orders.yaml": workflow_text,
    }
    front = compile_front(in_memory({path: text.encode() for path, text in files.items()}), None)
    assert front.linked is not None, front.diagnostics
    test = f"tests: {{t: {{workflow: orders, in: {{{given}}}, out: {{ok: []}}}}}}\n"
    tests = in_memory({"tests/orders.yaml": test.encode()})
    (declared,), mistakes = read_tests(tests)
    assert mistakes == []
    prepared, mistakes = prepare_test(front.linked, declared, tests)
    assert prepared is not None, mistakes
    return prepared


def differences(before: EventCase, after: EventCase) -> Mapping[str, EventDifference]:
    return {one.port: one for one in event_differences(before, after) or ()}


def test_versions_that_have_nothing_in_common_that_can_be_told_are_not_compared() -> None:
    program = (
        workflow(KEEP, KEEP).replace("use: std/transform", "use: std/exec").replace("actions: [", "command: [cat, ")
    )
    program = (
        program.replace("{filter: 'qty'}", "'-'").replace("{default: ok, error: bad}", "ok").replace(", bad: bad", "")
    )
    program = program.replace(
        "  reject: {use: std/write-files, in: bad, with: {path: /srv/bad}, place: {group: local}}\n", ""
    )
    program = program.replace("  bad: {transport: worker}\n", "")
    assert event_differences(case(program), case(workflow(KEEP, KEEP))) is None


KEEP = "[{filter: 'qty'}]"
MORE = "[{filter: 'qty > `2`'}]"


def test_a_change_shows_at_every_transform_that_it_reaches() -> None:
    found = differences(case(workflow(KEEP, KEEP)), case(workflow(MORE, KEEP)))
    assert list(found) == ["ok", "done"]
    assert found["ok"].lines == ("--- deployed", "+++ this version", "@@ -1,2 +1 @@", '-{"qty": 1}', ' {"qty": 3}')
    assert (found["ok"].test, found["ok"].place) == ("t", "tests/orders.yaml:1:9")


def test_a_change_that_does_to_events_what_was_done_before_shows_nothing() -> None:
    assert differences(case(workflow(KEEP, KEEP)), case(workflow("[{filter: '!(!qty)'}]", KEEP))) == {}


def test_what_comes_after_a_program_is_not_told() -> None:
    """No program is run: a plan may be that of a stranger's pull request."""
    program = {"between": "std/exec", "given": "command: [touch, /nowhere/ran]"}
    found = differences(case(workflow(KEEP, "", **program)), case(workflow(MORE, "", **program)))
    assert list(found) == ["ok"]


def test_a_reader_of_lines_of_json_gives_them_as_they_are_and_another_one_is_not_asked() -> None:
    given = "collect: {lines: ['{\"qty\":1}', '', '{\"qty\":3}']}"
    assert list(differences(case(workflow(KEEP, KEEP), given), case(workflow(MORE, KEEP), given))) == ["ok", "done"]

    def of_csv(text: str) -> str:
        return text.replace("glob: /srv/in/*", "glob: /srv/in/*, format: csv")

    before, after = case(of_csv(workflow(KEEP, KEEP)), given), case(of_csv(workflow(MORE, KEEP)), given)
    assert differences(before, after) == {}


def test_what_fails_now_shows_at_the_port_of_errors() -> None:
    found = differences(case(workflow(KEEP, KEEP)), case(workflow("[{set: {twice: 'sum([qty, name])'}}]", KEEP)))
    assert sorted(found) == ["bad", "done", "ok"]


def test_events_that_take_another_port_by_condition_show_at_both() -> None:
    def routed(condition: str) -> str:
        plain = workflow(KEEP, KEEP).replace("error: bad", "large: bad")
        return plain.replace("{actions: [{filter: 'qty'}]}", f"{{route: {{large: {condition}}}}}", 1)

    found = differences(case(routed("'qty > `2`'")), case(routed("'qty > `0`'")))
    assert found["ok"].lines[2:] == ("@@ -1 +0,0 @@", '-{"qty": 1}')
    assert found["bad"].lines[2:] == ("@@ -1 +1,2 @@", '+{"qty": 1}', ' {"qty": 3}')


@pytest.mark.parametrize(
    "settings",
    [
        {"actions": [{"filter": "qty"}, {"exec": ["touch", "/nowhere/ran"]}]},
        {"actions": [{"batch": 10}]},
        {"actions": [{"what a later version adds": 1}]},
    ],
)
def test_a_transform_that_does_more_than_make_events_of_events_is_not_told(settings: dict[str, Any]) -> None:
    """An action that runs a program, above all: nothing of a pull request is run."""
    prepared = case(workflow(KEEP, KEEP))
    first = next(step for step in prepared.run.steps if step.name == "first")
    assert is_transform(first)
    assert not is_transform(replace(first, document={"runner": {"role": "transform", "with": settings}}))
