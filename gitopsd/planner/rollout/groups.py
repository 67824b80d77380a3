"""Who is rolled out to together, by which settings, and in which order."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.model.artifacts import GroupRecord, PlacedWorker

ALL_AT_ONCE = GroupRecord(max_failed="100%")
"""No canary, no limit and no budget: for what is better done everywhere than not at all, such as a revert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """Workers in the order in which they are to be begun, and how; groups of a lower `settings.order` come first.

    `size`: of how many workers the group is, where this isn't about all of them; shares are shares of that.
    """

    name: str
    settings: GroupRecord
    workers: tuple[str, ...]
    size: int = 0


def rollout_groups(
    fleet: Mapping[str, PlacedWorker],
    records: Mapping[str, GroupRecord],
    names: Collection[str],
    *,
    first: Collection[str] = (),
    settings: GroupRecord | None = None,
) -> tuple[RolloutGroup, ...]:
    """The groups of these workers, in their order. `first` are begun before the others of their group.

    Workers that are leaving come last, and all at once: whatever they did is done elsewhere by then. `settings` stand
    in for those of every group, whose order is then the same.
    """
    sizes = Counter((worker.group, worker.leaving) for worker in fleet.values())
    members: dict[tuple[str, bool], list[str]] = {}
    for name in sorted(names, key=lambda name: (name not in first, name)):
        members.setdefault((fleet[name].group, fleet[name].leaving), []).append(name)
    last = 1 + max((record.order for record in records.values()), default=0)
    groups = [
        RolloutGroup(
            name=f"{group}, leaving" if leaving else group,
            settings=settings or _settings(records.get(group, GroupRecord()), last if leaving else None),
            workers=tuple(workers),
            size=sizes[group, leaving],
        )
        for (group, leaving), workers in members.items()
    ]
    return tuple(sorted(groups, key=lambda group: (group.settings.order, group.name)))


def in_waves(groups: Sequence[RolloutGroup]) -> list[list[RolloutGroup]]:
    """The groups of each order together, those that come first first."""
    found: dict[int, list[RolloutGroup]] = {}
    for group in groups:
        found.setdefault(group.settings.order, []).append(group)
    return [found[order] for order in sorted(found)]


def _settings(record: GroupRecord, leaving: int | None) -> GroupRecord:
    if leaving is None:
        return record
    return replace(record, canary=0, max_parallel="100%", max_failed="100%", max_unreachable="100%", order=leaving)
