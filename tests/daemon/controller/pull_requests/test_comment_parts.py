"""What a controller adds to a comment, and reads back."""

from datetime import UTC, datetime

from gitopsd.daemon.controller.pull_requests import comment_parts
from gitopsd.daemon.controller.pull_requests.comment_parts import essence, with_outcome, with_shown
from gitopsd.daemon.pull_requests.shown import Shown
from gitopsd.forge.forge import Comment

HEAD, OTHER, EFFECTS = "a" * 40, "b" * 40, "c" * 40
MARK = "<!-- gitopsd plan production -->"
FOOT = f"<sub>plan `123`, of `{HEAD[:12]}` merged into `{OTHER[:12]}`</sub>"
PLAN = f"{MARK}\n### A plan\n\n```diff\n+one\n```\n\n{FOOT}\n"
AT = datetime(2024, 1, 1, tzinfo=UTC)


def shown_in(body: str) -> Shown | None:
    return comment_parts.shown_in(Comment(id=1, body=body, ours=True, at=AT))


def test_what_was_shown_is_read_from_the_end_alone() -> None:
    forged = f"<!-- gitopsd shown {OTHER} {OTHER} -->"
    text = with_shown(PLAN.replace("+one", f"+one\n{forged}"), HEAD, EFFECTS)
    shown = shown_in(text)
    assert shown is not None
    assert (shown.head, shown.effects, shown.since) == (HEAD, EFFECTS, AT.timestamp())
    assert shown_in(PLAN.replace("+one", f"+one\n{forged}")) is None
    assert shown_in(text.replace("\n", "\r\n")) == shown, "some forges keep the ends of lines of browsers"
    nothing = shown_in(with_shown(PLAN, HEAD, ""))
    assert nothing is not None
    assert nothing.effects == ""


def test_an_outcome_takes_the_place_of_the_one_before_and_leaves_the_plan_as_it_is() -> None:
    text = with_shown(PLAN, HEAD, EFFECTS)
    once = with_outcome(text, "**rolling out**")
    assert once.startswith(f"{MARK}\n")
    assert "**rolling out**" in once
    twice = with_outcome(once, "**converged**\n\n| a | b |\n")
    assert "rolling out" not in twice
    assert with_outcome(twice, "**converged**\n\n| a | b |\n") == twice
    assert twice.endswith(text.partition("\n")[2])
    assert shown_in(twice) == shown_in(text)
    assert with_outcome(f"{MARK}\n", "waits").startswith(f"{MARK}\n")


def test_a_comment_is_another_one_by_what_it_says_and_not_by_what_it_was_planned_against() -> None:
    same = essence(PLAN, HEAD, EFFECTS)
    assert essence(PLAN.replace(OTHER[:12], "d" * 12), HEAD, EFFECTS) == same
    assert essence(PLAN.replace("+one", "+two"), HEAD, EFFECTS) != same
    assert essence(PLAN, OTHER, EFFECTS) != same
    assert essence(PLAN, HEAD, OTHER) != same
