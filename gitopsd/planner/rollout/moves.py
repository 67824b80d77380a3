"""In which order workers change that jobs move between.

A job starts at its destination before it ends where it was, so that no event has to wait for it; one that is exclusive
ends first. What would contradict that, or the order of waves, is left out: then both come as they may.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gitopsd.planner.rollout.groups import RolloutGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A job that goes from one worker to another. `exclusive`: two of it must never run."""

    origin: str
    destination: str
    exclusive: bool = False


def begun_after(moves: Collection[Move], groups: Sequence[RolloutGroup]) -> Mapping[str, frozenset[str]]:
    """Worker -> those that must have come to their end before it is begun."""
    wave = {name: group.settings.order for group in groups for name in group.workers}
    known = [one for one in moves if one.origin in wave and one.destination in wave and one.origin != one.destination]
    pairs = {(one.destination, one.origin) for one in known if one.exclusive}
    pairs |= {(one.origin, one.destination) for one in known if (one.destination, one.origin) not in pairs}
    after: dict[str, set[str]] = {}
    for later, earlier in pairs:
        if wave[earlier] <= wave[later]:
            after.setdefault(later, set()).add(earlier)
    return {name: frozenset(others) for name, others in _without_circles(after).items()}


def _without_circles(after: Mapping[str, set[str]]) -> Mapping[str, set[str]]:
    """Without what those wait for that would wait for themselves, by whatever way."""
    open_ends = dict(after)
    while free := [name for name, others in open_ends.items() if not others & open_ends.keys()]:
        for name in free:
            del open_ends[name]
    return {name: others - open_ends.keys() if name in open_ends else others for name, others in after.items()}
