"""What can be rendered and not yet run is refused before anything is committed, never half deployed."""

from collections.abc import Iterable

from gitopsd.daemon.errors import ControllerError
from gitopsd.model.system import WorkflowSummary
from gitopsd.runner.transports import TRANSPORTS

_SHOWN = 5


def refuse_what_cannot_run(summaries: Iterable[WorkflowSummary]) -> None:
    """Raises ControllerError that names the workflows with a transport that the runner doesn't have."""
    transports = {
        summary.workflow: missing
        for summary in summaries
        if (missing := sorted(set(summary.transports) - set(TRANSPORTS)))
    }
    if transports:
        first = min(transports)
        raise ControllerError(
            f"{_named(transports)} can't run yet: jobs of this version of gitopsd don't speak "
            + ", ".join(f"`{transport}`" for transport in transports[first]),
            "nothing was committed: join these steps by `worker`, `file-store` or `nats`, or plan without applying",
        )


def _named(names: Iterable[str]) -> str:
    known = sorted(names)
    more = len(known) - _SHOWN
    return ", ".join(known[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
