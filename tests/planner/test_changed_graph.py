"""The part of a picture that a plan changes."""

from gitopsd.planner.graph.changed import changed_parts, changed_workflows
from tests.planner.comment.pages import change
from tests.planner.graphs import channel, graph, step


def test_what_changes_is_kept_with_what_it_is_joined_to() -> None:
    whole = graph(
        "orders",
        [
            step("collect", "std/read-files", unchanged=1),
            step("cleanse", "std/transform", update=1),
            step("deliver", "std/write-files", unchanged=1),
            step("archive", "std/write-files", unchanged=1),
            step("elsewhere", "std/read-files", unchanged=1),
        ],
        [
            channel("raw", "worker", ["collect"], ["cleanse"]),
            channel("clean", "worker", ["cleanse"], ["deliver"]),
            channel("other", "worker", ["elsewhere"], ["archive"]),
        ],
    )
    (kept,) = changed_parts(whole, 7).workflows
    assert [one.name for one in kept.steps] == ["collect", "cleanse", "deliver"]
    assert [one.name for one in kept.channels] == ["raw", "clean"]
    assert changed_parts(whole, 7).hidden == 7


def test_a_workflow_that_stays_as_it_is_is_left_out() -> None:
    assert changed_parts(graph("orders", [step("collect", "std/read-files", unchanged=1)], []), 0).workflows == ()


def test_what_goes_or_is_held_comes_before_what_changes() -> None:
    changes = [
        change("a.x.0"), change("a.x.1"), change("b.x.0", action="create"), change("c.x.0", action="delete"),
        change("c.y.0"), change("d.x.0", action="unchanged"),
    ]  # fmt: skip
    assert changed_workflows(changes, 2) == (("c",), 2)
    assert changed_workflows(changes, 3) == (("c", "b"), 1)
    assert changed_workflows(changes, 100) == (("c", "b", "a"), 0)
