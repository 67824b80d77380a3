"""What a rollout came to in one word."""

from typing import Literal

from gitopsd.daemon.convergence.rollout_summary import Rollout

Outcome = Literal["converged", "failed", "unreachable", "superseded", "paused", "interrupted", "incomplete"]


def outcome_of(rollout: Rollout) -> Outcome:
    """The first of these that is so; `incomplete` where workers weren't come to, and none of the others says why."""
    states = {result.state for result in rollout.results}
    if rollout.failed or rollout.stopped or states & {"failed", "rolled-back"}:
        return "failed"
    if rollout.superseded_by is not None:
        return "superseded"
    if rollout.paused:
        return "paused"
    if rollout.interrupted:
        return "interrupted"
    if "unreachable" in states:
        return "unreachable"
    return "converged" if rollout.is_complete else "incomplete"
