"""What the controller knows of each worker by now, from what it tells: one fact each, the newest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gitopsd.daemon.controller import events as told
from gitopsd.daemon.convergence.result import State

WorkerFact = Literal["in_sync", "drifted", "failed", "unreachable", "left_out"]
FACTS: tuple[WorkerFact, ...] = ("in_sync", "drifted", "failed", "unreachable", "left_out")

_GONE_SECONDS = 3600.0
_OF_STATE: Mapping[State, WorkerFact] = {
    "in-sync": "in_sync",
    "converged": "in_sync",
    "drift": "drifted",
    "failed": "failed",
    "rolled-back": "failed",
    "unreachable": "unreachable",
}


@dataclass(frozen=True, slots=True)
class _Seen:
    fact: WorkerFact
    at: float


class WorkerStates:
    """Of one environment. Each cycle speaks of every worker, if only to say that it is left out.

    So one that isn't spoken of for an hour in which others are isn't among the workers any more. Not safe to use from
    several threads at once.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def tell(self, event: told.Event) -> None:
        match event:
            case told.WorkerEnded(result=result):
                self._seen[result.worker] = _Seen(_OF_STATE[result.state], event.at)
            case told.WorkerLeftOut(worker=worker):
                self._seen[worker] = _Seen("left_out", event.at)
            case _:
                return
        gone = [worker for worker, seen in self._seen.items() if seen.at < event.at - _GONE_SECONDS]
        for worker in gone:
            del self._seen[worker]

    def counts(self) -> dict[WorkerFact, int]:
        """All facts, those of no worker too."""
        found = Counter(seen.fact for seen in self._seen.values())
        return {fact: found[fact] for fact in FACTS}
