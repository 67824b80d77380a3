"""Circles in a graph."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter


def first_loop(onward: Mapping[str, Sequence[str]]) -> list[str]:
    """Nodes along a circle, the first one again at the end; empty where there is none."""
    try:
        TopologicalSorter(onward).prepare()
    except CycleError as error:
        # graphlib walks from a node to what comes before it
        return list(reversed(error.args[1]))
    return []
