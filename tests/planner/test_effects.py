"""The digest of what a plan does: the same for the same effects, and for no others."""

from typing import Any

import msgspec
import pytest

from gitopsd.model.plan import JobChange, Plan
from gitopsd.planner.plan.effects import effects_digest
from tests.planner.comment.pages import change, plan
from tests.planner.deployed import changes_between
from tests.planner.sources import WORKER, reads, source, writes

SHOWN = plan(change("a.b.0", before="1", after="2"), change("a.c.0", action="unchanged", effect="none"))


def _with(**more: Any) -> Plan:
    return msgspec.structs.replace(SHOWN, **more)


def _first(**more: Any) -> Plan:
    first, *others = SHOWN.changes
    return _with(changes=(msgspec.structs.replace(first, **more), *others))


def test_another_commit_and_another_head_with_the_same_effects_have_the_same_digest() -> None:
    inputs = msgspec.structs.replace(SHOWN.inputs, source_commit="9" * 40, artifact_head="8" * 40, policy="7" * 40)
    assert effects_digest(_with(inputs=inputs, digest="6" * 40, tree="5" * 40)) == effects_digest(SHOWN)
    assert effects_digest(_with(changes=tuple(reversed(SHOWN.changes)))) == effects_digest(SHOWN)
    assert effects_digest(_first(reason="told otherwise")) == effects_digest(SHOWN)


@pytest.mark.parametrize(
    "more",
    [
        {"worker": "edge-2"}, {"job": "a.b.1"}, {"action": "create"}, {"effect": "reload"}, {"moved_from": "edge-2"},
        {"before": "3"}, {"after": "3"}, {"action": "unchanged", "effect": "none"},
    ],
)  # fmt: skip
def test_another_effect_has_another_digest(more: dict[str, str]) -> None:
    assert effects_digest(_first(**more)) != effects_digest(SHOWN)


def test_a_plan_that_is_held_has_the_effects_of_that_plan_confirmed() -> None:
    gone = change("a.b.0", action="delete", effect="stop")
    held = msgspec.structs.replace(gone, action="held")
    assert effects_digest(plan(held, held="much")) == effects_digest(plan(gone))


def test_a_worker_whose_release_changes_without_a_job_counts() -> None:
    assert effects_digest(_with(changed_workers=("edge-1", "edge-9"))) != effects_digest(SHOWN)


def test_a_change_says_what_its_job_is_made_of_before_and_after() -> None:
    before = source({"collect": reads(), "deliver": writes()}, {"rows": WORKER})
    after = source({"collect": reads(), "deliver": writes(path="/srv/elsewhere")}, {"rows": WORKER})
    there, back = changes_between(before, after), changes_between(after, before)
    changed = there["orders.deliver.0"]
    assert changed.before
    assert changed.before != changed.after
    assert _sides(changed) == tuple(reversed(_sides(back["orders.deliver.0"])))
    assert "orders.collect.0" not in there


def _sides(found: JobChange) -> tuple[str, str]:
    return found.before, found.after
