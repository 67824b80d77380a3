"""What a pull request comes to, as the status of its head."""

from gitopsd.daemon.pull_requests.exchange import Outcome, State
from gitopsd.forge.forge import CommitStatus, StatusState

_STATES: dict[State, StatusState] = {
    "planned": "success", "refused": "failure", "conflicts": "failure", "unknown": "error",
}  # fmt: skip


def plan_status(outcome: Outcome, target: str = "") -> CommitStatus:
    """`target` is the page that it leads to, or empty."""
    return CommitStatus(
        context=f"gitopsd/plan/{outcome.environment}",
        state=_STATES[outcome.state],
        description=outcome.description,
        target=target,
    )
