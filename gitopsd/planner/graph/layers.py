"""Layered drawing of one directed graph: which layer each node is in, and its place there.

Sugiyama's method: links that go round in a circle are turned, nodes get layers by the longest way to them, links over
several layers get a bend in each, and the order inside the layers has few crossings (barycenters of the neighbours;
Sugiyama, Tagawa, Toda 1981), kept as far apart as their heights ask for (isotonic regression by pooling of adjacent
violators).
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum

Key = tuple[str, ...]
Link = tuple[Key, Key]

_SWEEPS = 12
_SPREAD_SWEEPS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """`layers`: nodes and bends in order. `ways`: link, as it was given -> what it runs through, left to right.

    `turned`: the links whose target is left of their source.
    """

    layers: tuple[tuple[Key, ...], ...]
    ways: Mapping[Link, tuple[Key, ...]]
    turned: frozenset[Link]


def in_layers(nodes: Sequence[Key], links: Sequence[Link], first: frozenset[Key], last: frozenset[Key]) -> Layered:
    """`first` and `last` are those that stand in the first and in the last layer whatever else does."""
    turned = _turned(nodes, links, first, last)
    straight = {(target, source) if (source, target) in turned else (source, target) for source, target in links}
    ranks = _ranks(nodes, sorted(straight), last)
    layers: list[list[Key]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for node in nodes:
        layers[ranks[node]].append(node)
    ways: dict[Link, tuple[Key, ...]] = {}
    for source, target in sorted(straight):
        bends = [("bend", *source, "to", *target, str(rank)) for rank in range(ranks[source] + 1, ranks[target])]
        for rank, bend in enumerate(bends, ranks[source] + 1):
            layers[rank].append(bend)
        ways[source, target] = (source, *bends, target)
    ordered = _few_crossings(layers, [pair for way in ways.values() for pair in pairwise(way)])
    given = {link: ways[link[::-1]] if link in turned else ways[link] for link in links}
    return Layered(layers=tuple(tuple(layer) for layer in ordered), ways=given, turned=turned)


def _turned(
    nodes: Sequence[Key], links: Sequence[Link], first: frozenset[Key], last: frozenset[Key]
) -> frozenset[Link]:
    """Links to what must be first, from what must be last, and those that would close a circle."""
    turned = {(source, target) for source, target in links if target in first or source in last}
    onward: dict[Key, list[Key]] = {node: [] for node in nodes}
    for source, target in links:
        if (source, target) not in turned:
            onward[source].append(target)
    done: set[Key] = set()
    for start in nodes:
        way: list[tuple[Key, list[Key]]] = [] if start in done else [(start, list(onward[start]))]
        on_way = {start}
        while way:
            node, targets = way[-1]
            if not targets:
                way.pop()
                on_way.discard(node)
                done.add(node)
                continue
            target = targets.pop(0)
            if target in on_way:
                turned.add((node, target))
            elif target not in done:
                way.append((target, list(onward[target])))
                on_way.add(target)
    return frozenset(turned)


def _ranks(nodes: Sequence[Key], links: Sequence[Link], last: frozenset[Key]) -> dict[Key, int]:
    """The length of the longest way to each node; the links have no circle."""
    ranks = dict.fromkeys(nodes, 0)
    arriving = dict.fromkeys(nodes, 0)
    onward: dict[Key, list[Key]] = {node: [] for node in nodes}
    for source, target in links:
        onward[source].append(target)
        arriving[target] += 1
    ready = [node for node in nodes if not arriving[node]]
    for node in ready:  # grows while it is gone through
        for target in onward[node]:
            ranks[target] = max(ranks[target], ranks[node] + 1)
            arriving[target] -= 1
            if not arriving[target]:
                ready.append(target)
    others = max((rank for node, rank in ranks.items() if node not in last), default=0)
    return {node: others + 1 if node in last else rank for node, rank in ranks.items()}


def _few_crossings(layers: list[list[Key]], pairs: Sequence[Link]) -> list[list[Key]]:
    before: dict[Key, list[Key]] = {}
    after: dict[Key, list[Key]] = {}
    for source, target in pairs:
        after.setdefault(source, []).append(target)
        before.setdefault(target, []).append(source)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, after)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = before if down else after
        order = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for index in order:
            beside = layers[index - 1 if down else index + 1]
            position = {node: place for place, node in enumerate(beside)}
            layers[index] = _by_barycenter(layers[index], neighbours, position)
        crossings = _crossings(layers, after)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _by_barycenter(
    layer: Sequence[Key], neighbours: Mapping[Key, Sequence[Key]], position: Mapping[Key, int]
) -> list[Key]:
    """A node without neighbours keeps its place."""
    weights = {}
    for place, node in enumerate(layer):
        found = [position[other] for other in neighbours.get(node, ())]
        weights[node] = sum(found) / len(found) if found else place
    return sorted(layer, key=lambda node: weights[node])


def _crossings(layers: Sequence[Sequence[Key]], after: Mapping[Key, Sequence[Key]]) -> int:
    crossings = 0
    for left, right in pairwise(layers):
        position = {node: place for place, node in enumerate(right)}
        seen: list[int] = []
        for node in left:
            ends = sorted(position[target] for target in after.get(node, ()))
            crossings += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return crossings


def spread_out(
    layers: Sequence[Sequence[Key]],
    pulls: Callable[[Key], Iterable[tuple[Key, float]]],
    heights: Mapping[Key, float],
    gap: float,
) -> dict[Key, float]:
    """The middle of each node, in the order of its layer and at least `gap` from its neighbours there.

    `pulls`: where a node would stand best, by others: (the other one, the distance from its middle).
    """
    middles: dict[Key, float] = {}
    for layer in layers:
        middles |= _apart(layer, dict.fromkeys(layer, 0.0), heights, gap)
    for sweep in range(_SPREAD_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = {}
            for node in layer:
                found = [middles[other] + distance for other, distance in pulls(node)]
                wanted[node] = fsum(found) / len(found) if found else middles[node]
            middles |= _apart(layer, wanted, heights, gap)
    return middles


def _apart(
    layer: Sequence[Key], wanted: Mapping[Key, float], heights: Mapping[Key, float], gap: float
) -> dict[Key, float]:
    """As near to what is wanted as order and distances allow (least squares)."""
    offsets, at = [], 0.0
    for place, node in enumerate(layer):
        at += heights[node] / 2 + (heights[layer[place - 1]] / 2 + gap if place else 0.0)
        offsets.append(at)
    pools: list[tuple[float, int]] = []
    for node, offset in zip(layer, offsets, strict=True):
        mean, count = wanted[node] - offset, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return {node: mean + offset for node, mean, offset in zip(layer, means, offsets, strict=True)}
