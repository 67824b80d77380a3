"""What holds new versions back, in words: the same ones wherever it is shown."""

from collections.abc import Collection

from gitopsd.daemon.holds import Hold

_TOLD_BY_THE_PLAN = frozenset({"upgrade", "deletes"})


def hold_lines(holds: Collection[Hold]) -> list[str]:
    """A sentence for each, with the way out; what a plan says of itself is left to it."""
    return [f"{one.sentence} ({one.way_out})" for one in holds if one.kind not in _TOLD_BY_THE_PLAN]
