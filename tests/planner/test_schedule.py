"""What a plan says of scheduled jobs: what changes, and that a run that is under way is left alone."""

from typing import Any

import pytest

from gitopsd.model.plan import JobChange
from gitopsd.planner.graph.draw import draw_graph
from gitopsd.planner.graph.mermaid import mermaid_text
from tests.planner.deployed import changes_between, compile_after, render
from tests.planner.sources import source, step

KEPT = {"exec": ["tidy"]}


def job(**changes: Any) -> dict[str, bytes]:
    declared = {"kind": "schedule", "schedule": "daily", **KEPT, **changes}
    used = {name: value for name, value in declared.items() if value is not None}
    return source({"tidy": step("blueprints/tidy")}, {}, tidy={"blueprint": "tidy", "job": used})


def change(before: dict[str, bytes], after: dict[str, bytes]) -> JobChange:
    (found,) = changes_between(before, after).values()
    return found


@pytest.mark.parametrize(
    ("after", "reason", "effect"),
    [
        (
            {"schedule": "*-*-* 04:00"},
            "changed: its schedule, `daily` before and `*-*-* 04:00` now; a run that is under way ends as it began",
            "none",
        ),
        ({"exec": ["tidy", "-v"]}, "changed: its command; a run that is under way ends as it began", "none"),
        ({"unit": {"Nice": 5}}, "changed: its unit (Nice); a run that is under way ends as it began", "none"),
        ({"kind": "service", "schedule": None}, "changed: its kind, `schedule` before and `service` now", "restart"),
        ({"kind": "once", "schedule": None}, "changed: its kind, `schedule` before and `once` now", "restart"),
    ],
)
def test_what_changes(after: dict[str, Any], reason: str, effect: str) -> None:
    found = change(job(), job(**after))
    assert found.reason.startswith(reason)
    assert found.effect == effect


def test_a_service_that_is_to_be_scheduled_is_stopped() -> None:
    found = change(job(kind="service", schedule=None), job())
    assert found.reason.startswith("changed: its kind, `service` before and `schedule` now")
    assert found.effect == "restart"


def test_the_timer_is_among_the_files_of_the_job() -> None:
    found = change(job(), job(schedule="*-*-* 04:00"))
    assert [(one.path, one.change) for one in found.files] == [("units/gitopsd-orders.tidy.0.timer", "changed")]
    assert "+OnCalendar=*-*-* 04:00" in found.files[0].diff
    assert {one.path: one.change for one in change(job(), job(kind="once", schedule=None)).files}[
        "units/gitopsd-orders.tidy.0.timer"
    ] == "removed"


def test_a_picture_shows_when_a_step_runs() -> None:
    compiled = compile_after(job())
    assert compiled.rendering is not None
    system = compiled.flows[0].system
    placed = {"orders.tidy.0": "edge-1"}
    drawn = draw_graph("production", [system], placed, [], None, schedules=compiled.rendering.schedules())
    assert drawn.workflows[0].steps[0].place == "edge: edge-1, at daily"
    assert "at daily" in mermaid_text(drawn)


def test_only_scheduled_jobs_have_a_schedule() -> None:
    assert render(job()).schedules("orders") == {"orders.tidy.0": "daily"}
    assert render(job()).schedules("other") == {}
    assert render(job(kind="service", schedule=None)).schedules() == {}
