"""Whether a version does what was shown on the pull request that it came from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gitopsd.daemon.artifacts.deployed_version import deployed_version
from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.planner.plan.effects import effects_by_job, effects_digest

if TYPE_CHECKING:
    from gitopsd.daemon.planning.plan import Planned
    from gitopsd.daemon.pull_requests.shown import Review
    from gitopsd.daemon.workspace import Workspace

_MOST_NAMED = 5


def why_not_reviewed(workspace: "Workspace", planned: "Planned") -> str:
    """Why the version isn't deployed by itself, as a sentence; empty where it does what was shown, and approved where
    policy asks for that, or nothing.

    A version that is deployed already was let through: what else its plan follows from is the operator's.
    """
    source = planned.plan.inputs.source_commit
    if planned.plan.is_empty or not source:
        return ""
    before = deployed_version(workspace.repository, planned.head) if planned.head else None
    if before is not None and before.source_commit == source:
        return ""
    from gitopsd.daemon.pull_requests.shown import ShownMemory  # noqa: PLC0415 - where policy asks for it

    environment = planned.plan.inputs.environment
    review = ShownMemory(workspace.identity).review(environment, source)
    approval = policy_of(workspace.configuration).requires_approval(environment)
    return _why(planned, source[:12], review, approval=approval)


def _why(planned: "Planned", source: str, review: "Review | None", *, approval: bool) -> str:
    if review is None:
        return f"the forge was not asked yet which pull request {source} came from"
    number, plan = review.pull_request, planned.plan
    void = f": {review.void}" if review.void else ""
    differs = what_differs(review.jobs, effects_by_job(plan.changes, plan.changed_workers))
    rules = (
        (not number, f"{source} came without a pull request, so nobody was shown what it does"),
        (not review.effects, f"pull request {number} was merged before it showed a plan"),
        (review.effects != effects_digest(plan),
         f"{source} does something else than pull request {number} showed{differs}"),
        (approval and not review.approved, f"nobody approved what pull request {number} showed last{void}"),
    )  # fmt: skip
    return next((why for applies, why in rules if applies), "")


def what_differs(shown: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Where the effects differ, to go after a sentence; empty where it isn't known."""
    names = sorted(name for name in {*shown, *now} if shown.get(name) != now.get(name))
    if not names or not (shown and now):
        return ""
    parts = [f"{name} ({_how(name, shown, now)})" for name in names[:_MOST_NAMED]]
    more = len(names) - len(parts)
    return f": {', '.join(parts)}{f' and {more} more' if more else ''}"


def _how(name: str, shown: Mapping[str, str], now: Mapping[str, str]) -> str:
    rules = ((name not in shown, "not shown"), (name not in now, "shown, and not done"), (True, "done differently"))
    return next(word for applies, word in rules if applies)


def review_key(workspace: "Workspace", environment: str, source: str) -> str:
    """What stands for all that is known of it, so that a version is judged again when that changes."""
    from gitopsd.daemon.pull_requests.shown import ShownMemory  # noqa: PLC0415 - as above

    review: Review | None = ShownMemory(workspace.identity).review(environment, source)
    if review is None:
        return ""
    return f"{review.pull_request} {review.effects} {' '.join(review.approved)} {review.void}"
