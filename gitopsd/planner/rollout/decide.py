"""Which workers may be changed now, and where the rollout has stopped: worked out anew from what is known of each.

A worker is `new` to the rollout when it has to take a release that it doesn't hold, or failed to in this very
deployment: what becomes of it tells something about the version. The others that differ are only put right: they take
their share of `max_parallel`, and nothing else holds for them, since a version that runs already is not on trial.

Rules for those that are new, in this order:

- a group begins when every worker of the waves before it has come to its end, and none of their groups has stopped;
- with a canary, or a budget for workers that can't be reached, it begins when each of its workers was looked at, and
  else when those were on which this very deployment failed before;
- until so many as the canary are healthy no more are begun than that, and a failure among them stops the group;
- more workers that failed than `max_failed`, or that can't be reached than `max_unreachable`, stop the group;
- a group that stopped stops the waves after it. What is under way goes on to its end;
- a worker begins when those have come to their end that take a job from it, or give it one that is exclusive.

Whoever is away neither holds the others up, beyond its budget, nor counts as healthy: it catches up when it is back.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from gitopsd.model.amounts import at_least, at_most
from gitopsd.planner.rollout.groups import RolloutGroup, in_waves

Phase = Literal["unseen", "waiting", "changing", "in-sync", "healthy", "failed", "away"]
"""`waiting`: it was looked at, and differs. `away`: it can't be reached, or refused before anything was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one worker. `new`: whether it tells something about the version; see above."""

    phase: Phase = "unseen"
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`start`: the workers to begin now, in order. `stopped`: group -> why nothing new is begun there any more.

    `waiting_for`: group -> what it waits for before it begins. `over`: nothing is under way and nothing follows.
    """

    start: tuple[str, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)
    waiting_for: Mapping[str, str] = field(default_factory=dict)
    over: bool = False


_NOBODY: Mapping[str, Collection[str]] = MappingProxyType({})
_UNENDED: frozenset[Phase] = frozenset({"unseen", "waiting", "changing"})


def decide(
    groups: Sequence[RolloutGroup], standings: Mapping[str, Standing], after: Mapping[str, Collection[str]] = _NOBODY
) -> Decision:
    """What to do next. `standings` has each worker of the groups; `after`: worker -> those that come before it."""
    held_up = {name for name, others in after.items() if any(standings[other].phase in _UNENDED for other in others)}
    start: list[str] = []
    stopped: dict[str, str] = {}
    waiting_for: dict[str, str] = {}
    stopped_before, unfinished_before = "", ""
    for wave in in_waves(groups):
        stops, unfinished = "", ""
        for group in wave:
            known = _Group(group, standings, held_up)
            reason = known.why_stopped() or (
                f"it comes after {stopped_before}, which stopped" if stopped_before else ""
            )
            if reason:
                stopped[group.name] = reason
                stops = stops or group.name
            elif unfinished_before:
                waiting_for[group.name] = unfinished_before
            start += known.startable(new=not reason and not unfinished_before)
            if known.is_unfinished():
                unfinished = unfinished or group.name
        stopped_before = stopped_before or stops
        unfinished_before = unfinished_before or unfinished
    phases = {standings[name].phase for group in groups for name in group.workers}
    return Decision(
        start=tuple(start),
        stopped=stopped,
        waiting_for=waiting_for,
        over=not start and not phases & {"unseen", "changing"},
    )


class _Group:
    """One group with what is known of its workers."""

    def __init__(self, group: RolloutGroup, standings: Mapping[str, Standing], held_up: Collection[str]) -> None:
        self._held_up = held_up
        self._settings = group.settings
        self._size = max(group.size, len(group.workers))
        self._standings = {name: standings[name] for name in group.workers}
        self._phases = Counter(standing.phase for standing in self._standings.values())
        self._new = Counter(standing.phase for standing in self._standings.values() if standing.new)

    @property
    def _canary(self) -> int:
        return at_least(self._settings.canary, self._size)

    def is_unfinished(self) -> bool:
        """Whether the groups after it have to wait for it."""
        return bool(self._phases["unseen"] or self._new["waiting"] or self._new["changing"])

    def why_stopped(self) -> str:
        settings = self._settings
        failed, away = self._new["failed"], self._phases["away"]
        if failed and self._new["healthy"] < self._canary:
            names = [
                name for name, standing in self._standings.items() if standing == Standing(phase="failed", new=True)
            ]
            return f"its canary {names[0]} failed"
        if failed > at_most(settings.max_failed, self._size):
            return f"{failed} of {self._size} failed, and max_failed is {settings.max_failed}"
        if away > at_most(settings.max_unreachable, self._size):
            return f"{away} of {self._size} can't be reached, and max_unreachable is {settings.max_unreachable}"
        return ""

    def startable(self, *, new: bool) -> list[str]:
        """Those to begin now; of those that are new only where `new` says that their turn has come."""
        room = max(1, at_most(self._settings.max_parallel, self._size)) - self._phases["changing"]
        on_trial = self._room_on_trial() if new else 0
        chosen: list[str] = []
        for name, standing in self._standings.items():
            if standing.phase != "waiting" or len(chosen) >= room or (standing.new and name in self._held_up):
                continue
            if standing.new:
                if on_trial <= 0:
                    continue
                on_trial -= 1
            chosen.append(name)
        return chosen

    def _room_on_trial(self) -> int:
        """How many more that are new may be begun, as far as the canary and what isn't known yet are concerned."""
        away_matters = at_most(self._settings.max_unreachable, self._size) < self._size
        if self._new["unseen"] or (self._phases["unseen"] and (self._canary or away_matters)):
            return 0
        if self._new["healthy"] < self._canary:
            return self._canary - self._new["healthy"] - self._new["changing"]
        return self._size
