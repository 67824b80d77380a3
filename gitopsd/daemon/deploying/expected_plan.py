"""Exactly the plan that was shown, or nothing."""

from msgspec import structs

from gitopsd.daemon.errors import StalePlanError
from gitopsd.model.plan import Plan

_INPUTS = {
    "environment": "the environment",
    "source_tree": "the source",
    "pinned": "the pin",
    "artifact_head": "the artifact branch",
    "renderer": "the version of gitopsd",
    "policy": "the policy",
}
"""The inputs that make a plan another one, in the words of messages."""


def check_expected(expected: Plan, actual: Plan) -> None:
    """Raises StalePlanError, which names each input that moved, where `actual` isn't the plan that was shown.

    A digest that still fits doesn't save a plan that says something else than applying it would do.
    """
    if expected.digest != actual.digest:
        raise StalePlanError(_what_moved(expected, actual), "plan again, and apply the new plan")
    if expected != actual:
        message = "the plan was edited after it was written: it doesn't say what applying it would do"
        raise StalePlanError(f"{message}; nothing was applied", "plan again, and look at the new plan")


def check_same_changes(expected: Plan, actual: Plan) -> None:
    """The same once the branch has moved by what applying the plan itself commits first: a hold, or an upgrade."""
    now = structs.replace(actual.inputs, artifact_head=expected.inputs.artifact_head)
    if now != expected.inputs or not have_same_changes(expected, actual):
        message = _what_moved(expected, structs.replace(actual, inputs=now))
        raise StalePlanError(message, "plan again, and apply the new plan")


def have_same_changes(one: Plan, other: Plan) -> bool:
    """Whether two plans say the same to whoever reads them, against different heads perhaps."""
    told = [(plan.changed_workers, plan.changes, plan.held, plan.returns, plan.quarantined) for plan in (one, other)]
    return told[0] == told[1]


def _what_moved(expected: Plan, actual: Plan) -> str:
    moved = [
        f"{label} ({_short(getattr(expected.inputs, key))} then, {_short(getattr(actual.inputs, key))} now)"
        for key, label in _INPUTS.items()
        if getattr(expected.inputs, key) != getattr(actual.inputs, key)
    ]
    return f"the plan is stale: {', '.join(moved) or 'what it renders to'} moved; nothing was applied"


def _short(value: str) -> str:
    is_id = len(value) == 40
    return value[:12] if is_id else value or "none"
