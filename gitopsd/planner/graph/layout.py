"""Where everything in the picture of a graph goes: boxes in boxes, and links that cross no box but those they enter.

Each box is laid out by itself, in layers from left to right, then stands as one node in the layers of the box around
it. A link from inside to outside goes through a gate in the box's edge, which both layouts share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gitopsd.planner.graph.layers import Key, Layered, Link, in_layers, spread_out
from gitopsd.planner.graph.shapes import Box, Joined, Laid, Leaf, Rectangle, Route

_LAYER_GAP = 44.0
_NODE_GAP = 20.0
_PADDING = 16.0
_BEND_HEIGHT = 4.0
_SPREAD = 12.0
"""The distance between links that end on one side of a node, where it is high enough."""


def lay_out(box: Box, links: Sequence[Joined]) -> Laid:
    """The whole picture of one outermost box."""
    parents: dict[Key, Key] = {}
    _note_parents(box, parents)
    parts = _Parts()
    for link in links:
        parts.add(link, parents)
    return _BoxLayout(box, parts, {}).laid()


def _is_of_a_message(end: Key) -> bool:
    """Also of a gate that such a link goes through."""
    return "message" in {end[0], *(end[2:3] if end[0] == "gate" else ())}


def _note_parents(box: Box, parents: dict[Key, Key]) -> None:
    for member in box.members:
        parents[member.key] = box.key
        if isinstance(member, Box):
            _note_parents(member, parents)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The links in parts, by the box that each is in, from leaf or gate to leaf or gate; gate -> the box it is of."""

    inside: dict[Key, list[Link]] = field(default_factory=dict)
    gates: dict[Key, Key] = field(default_factory=dict)

    def add(self, link: Joined, parents: Mapping[Key, Key]) -> None:
        source_boxes, target_boxes = _around(link.source, parents), _around(link.target, parents)
        while len(source_boxes) > 1 and len(target_boxes) > 1 and source_boxes[-2] == target_boxes[-2]:
            source_boxes.pop()
            target_boxes.pop()
        at = link.source
        for box in source_boxes[:-1]:
            gate = self._gate("out", link, box)
            self._note(box, at, gate)
            at = gate
        for box, inner in zip(reversed(target_boxes), [*reversed(target_boxes[:-1]), None], strict=True):
            target = link.target if inner is None else self._gate("in", link, inner)
            self._note(box, at, target)
            at = target

    def _gate(self, way: str, link: Joined, box: Key) -> Key:
        gate = ("gate", way, *link.via, "of", *box)
        self.gates[gate] = box
        return gate

    def _note(self, box: Key, source: Key, target: Key) -> None:
        links = self.inside.setdefault(box, [])
        if (source, target) not in links:
            links.append((source, target))


def _around(key: Key, parents: Mapping[Key, Key]) -> list[Key]:
    """The boxes around it, the innermost first."""
    boxes = []
    while key in parents:
        key = parents[key]
        boxes.append(key)
    return boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """One box in layers, with the size of each node there; `inner` are the boxes inside, laid out."""

    layered: Layered
    inner: Mapping[Key, Laid]
    widths: Mapping[Key, float]
    heights: Mapping[Key, float]


class _BoxLayout:
    """Lays out one box. `sides`: its own gates -> `left` or `right`."""

    def __init__(self, box: Box, parts: _Parts, sides: Mapping[Key, str]) -> None:
        self._box = box
        self._parts = parts
        self._sides = sides
        ends = parts.inside.get(box.key, [])
        self._links = {(self._item(source), self._item(target)): (source, target) for source, target in ends}
        """Link between members and own gates -> its ends, which may be gates of members."""

    def _item(self, end: Key) -> Key:
        return end if end in self._sides else self._parts.gates.get(end, end)

    def laid(self) -> Laid:
        first = frozenset(gate for gate, side in self._sides.items() if side == "left")
        last = frozenset(gate for gate, side in self._sides.items() if side == "right")
        nodes = [*self._sides, *(member.key for member in self._box.members)]
        layered = in_layers(nodes, list(self._links), first, last)
        inner = {member.key: self._inner(member, layered) for member in self._box.members if isinstance(member, Box)}
        leaves = {member.key: member for member in self._box.members if isinstance(member, Leaf)}
        known: dict[Key, Leaf | Laid] = {**leaves, **inner}
        nodes = [node for layer in layered.layers for node in layer]
        widths = {node: known[node].width if node in known else 0.0 for node in nodes}
        heights = {node: known[node].height if node in known else _BEND_HEIGHT for node in nodes}
        return self._placed(_Measured(layered=layered, inner=inner, widths=widths, heights=heights))

    def _inner(self, member: Box, layered: Layered) -> Laid:
        """Gates stand on the side that their links come from, in the order of what these come from."""
        position = {node: place for layer in layered.layers for place, node in enumerate(layer)}
        gates: list[tuple[int, Key, str]] = []
        for link, ends in self._links.items():
            if member.key in link:
                index = link.index(member.key)
                side = "right" if (index == 0) != (link in layered.turned) else "left"
                way = layered.ways[link]
                gates.append((position[way[1] if side == "right" else way[-2]], ends[index], side))
        sides = {gate: side for _, gate, side in sorted(gates)}
        return _BoxLayout(member, self._parts, sides).laid()

    def _middles(self, measured: _Measured) -> dict[Key, float]:
        """How far down each node's middle is, from anywhere; links pull the nodes at their ends to one height."""
        pulls: dict[Key, list[tuple[Key, float]]] = {}
        for link, way in measured.layered.ways.items():
            left, right = (self._gate_offset(end, measured) for end in self._left_to_right(link, measured))
            places = [left, *[0.0] * (len(way) - 2), right]
            for index in range(len(way) - 1):
                lower = places[index + 1] - places[index]
                pulls.setdefault(way[index], []).append((way[index + 1], lower))
                pulls.setdefault(way[index + 1], []).append((way[index], -lower))
        layers = measured.layered.layers
        return spread_out(layers, lambda node: pulls.get(node, ()), measured.heights, _NODE_GAP)

    def _left_to_right(self, link: Link, measured: _Measured) -> Link:
        source, target = self._links[link]
        return (target, source) if link in measured.layered.turned else (source, target)

    def _gate_offset(self, end: Key, measured: _Measured) -> float:
        """How far below the middle of its node a link ends; at a leaf in the middle."""
        member = self._item(end)
        return measured.inner[member].gates[end] - measured.heights[member] / 2 if member != end else 0.0

    def _placed(self, measured: _Measured) -> Laid:
        layers, heights = measured.layered.layers, measured.heights
        middles = self._middles(measured)
        top = min((middles[node] - heights[node] / 2 for node in middles), default=0.0)
        down = self._box.title_height + _PADDING - top
        middles = {node: middle + down for node, middle in middles.items()}
        bottom = max((middles[node] + heights[node] / 2 for node in middles), default=down)
        columns, width = self._columns(measured)
        laid = Laid(width=max(width, self._box.title_width + 2 * _PADDING), height=bottom + _PADDING)
        members = {member.key for member in self._box.members}
        for layer, (left, right) in zip(layers, columns, strict=True):
            for node in layer:
                if node in members:
                    size = {"width": measured.widths[node], "height": heights[node]}
                    x, y = (left + right - size["width"]) / 2, middles[node] - size["height"] / 2
                    laid.rectangles[node] = Rectangle(x=x, y=y, **size)
                    if node in measured.inner:
                        moved = measured.inner[node].shifted(x, y)
                        laid.rectangles |= moved.rectangles
                        laid.routes += moved.routes
                elif node in self._sides:
                    laid.gates[node] = middles[node]
        column_of = {node: column for layer, column in zip(layers, columns, strict=True) for node in layer}
        laid.routes += self._routes(laid, measured, column_of, middles)
        return laid

    def _columns(self, measured: _Measured) -> tuple[list[tuple[float, float]], float]:
        """From where to where each layer is, and the width of them all; gates are in the edge itself."""
        layers = measured.layered.layers
        columns: list[tuple[float, float]] = []
        x = 0.0 if self._is_gates(layers, 0) else _PADDING
        for layer in layers:
            x += _LAYER_GAP if columns else 0.0
            columns.append((x, x + max((measured.widths[node] for node in layer), default=0.0)))
            x = columns[-1][1]
        return columns, x + (0.0 if self._is_gates(layers, -1) else _PADDING)

    def _is_gates(self, layers: Sequence[Sequence[Key]], index: int) -> bool:
        return bool(layers) and all(node in self._sides for node in layers[index])

    def _routes(
        self,
        laid: Laid,
        measured: _Measured,
        column_of: Mapping[Key, tuple[float, float]],
        middles: Mapping[Key, float],
    ) -> Iterator[Route]:
        spread = self._spread(measured, middles)
        for link, way in measured.layered.ways.items():
            ends = self._left_to_right(link, measured)
            stretches = [(*column_of[node], middles[node]) for node in way]
            for place, end in ((0, ends[0]), (-1, ends[1])):
                left, right, height = stretches[place]
                edge = laid.rectangles.get(way[place])
                if place == 0:
                    left = edge.x + edge.width if edge else 0.0
                else:
                    right = edge.x if edge else laid.width
                offset = self._gate_offset(end, measured) + spread.get((link, place == 0), 0.0)
                stretches[place] = (left, right, height + offset)
            target = self._links[link][1]
            arrow = "" if target[0] == "gate" else "start" if link in measured.layered.turned else "end"
            yield Route(stretches=tuple(stretches), arrow_at=arrow, is_broken=any(map(_is_of_a_message, ends)))

    def _spread(self, measured: _Measured, middles: Mapping[Key, float]) -> dict[tuple[Link, bool], float]:
        """Links that end on one side of a leaf end below each other, in the order in which they arrive."""
        sides: dict[tuple[Key, bool], list[tuple[float, Link]]] = {}
        for link, way in measured.layered.ways.items():
            ends = self._left_to_right(link, measured)
            if ends[0][0] != "gate":
                sides.setdefault((way[0], True), []).append((middles[way[1]], link))
            if ends[1][0] != "gate":
                sides.setdefault((way[-1], False), []).append((middles[way[-2]], link))
        spread: dict[tuple[Link, bool], float] = {}
        for (node, is_source), arriving in sides.items():
            step = min(_SPREAD, (measured.heights[node] - 8) / max(1, len(arriving)))
            for place, (_, link) in enumerate(sorted(arriving)):
                spread[link, is_source] = (place - (len(arriving) - 1) / 2) * step
        return spread
