"""A graph as one SVG file: no script, nothing from elsewhere, readable on light and on dark pages."""

from collections.abc import Iterable, Iterator, Mapping
from math import fsum
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gitopsd.planner.graph.draw import SIGNS, Change, Graph, GraphChannel, GraphEnd, GraphStep, WorkflowGraph, bounded
from gitopsd.planner.graph.layers import Key
from gitopsd.planner.graph.layout import lay_out
from gitopsd.planner.graph.shapes import Box, Joined, Laid, Leaf, Rectangle, Route

MAX_STEPS = 300
MAX_LINKS = 490
"""As many as Mermaid draws: laying them out takes quadratic time, and nobody follows more."""

_CHARACTER = 7.3
"""Width of a character of 12 px in the common fixed-width fonts, rounded up."""
_LINE = 16.0
_MARGIN = 16.0
_TITLE = 26.0
_FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'

_LIGHT = {
    "page": {"fill": "#ffffff", "stroke": "#d1d9e0"},
    "box": {"fill": "#f6f8fa", "stroke": "#8c959f"},
    "step": {"fill": "#ffffff", "stroke": "#59636e"},
    "channel": {"fill": "#eaeef2", "stroke": "#8c959f"},
    "link": {"fill": "none", "stroke": "#59636e"},
    "head": {"fill": "#59636e", "stroke": "none"},
    "text": {"fill": "#1f2328"},
    "quiet": {"fill": "#59636e"},
    "create": {"fill": "#dafbe1", "stroke": "#1a7f37"},
    "update": {"fill": "#fff8c5", "stroke": "#9a6700"},
    "move": {"fill": "#ddf4ff", "stroke": "#0969da"},
    "delete": {"fill": "#ffebe9", "stroke": "#cf222e", "stroke-dasharray": "5 3"},
    "held": {"fill": "#fbefff", "stroke": "#8250df", "stroke-width": "2.5"},
    "unchanged": {"fill": "#ffffff", "stroke": "#8c959f"},
}
_DARK = {
    "page": {"fill": "#0d1117", "stroke": "#3d444d"},
    "box": {"fill": "#151b23", "stroke": "#656c76"},
    "step": {"fill": "#0d1117", "stroke": "#9198a1"},
    "channel": {"fill": "#262c36", "stroke": "#656c76"},
    "link": {"stroke": "#9198a1"},
    "head": {"fill": "#9198a1"},
    "text": {"fill": "#f0f6fc"},
    "quiet": {"fill": "#9198a1"},
    "create": {"fill": "#12261e", "stroke": "#3fb950"},
    "update": {"fill": "#272115", "stroke": "#d29922"},
    "move": {"fill": "#121d2f", "stroke": "#58a6ff"},
    "delete": {"fill": "#25171c", "stroke": "#f85149"},
    "held": {"fill": "#211b2e", "stroke": "#a371f7"},
    "unchanged": {"fill": "#0d1117", "stroke": "#656c76"},
}


def svg_text(graph: Graph) -> str:
    """Whole SVG text, ending in a newline; of a large graph so much as can be looked at, and a note."""
    root = _Picture(_bounded(graph)).drawn()
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"


def _bounded(graph: Graph) -> Graph:
    most = MAX_STEPS
    while True:
        shown = bounded(graph, most)
        links = sum(_links(channel) for one in shown.workflows for channel in one.channels)
        if links <= MAX_LINKS or most == 1:
            return shown
        most = max(1, most * 2 // 3)


def _links(channel: GraphChannel) -> int:
    return sum(1 if end.adapter is None else 2 for end in (*channel.producers, *channel.consumers))


class _Picture:
    """One picture: a box for each workflow below the other, then the legend and the note."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._titles: dict[Key, str] = {}
        self._steps: dict[Key, GraphStep] = {}
        self._channels: dict[Key, GraphChannel] = {}
        self._adapters: dict[Key, tuple[str, Change]] = {}
        self._links: list[Joined] = []

    def drawn(self) -> Element:
        boxes = [self._workflow(one) for one in self._graph.workflows]
        laid = [lay_out(box, [link for link in self._links if link.source[1] == box.key[1]]) for box in boxes]
        legend = [(f"{SIGNS[action]} {action}", action) for action in self._graph.actions]
        legend_width = fsum(_legend_width(label) for label, _ in legend)
        width = max([one.width for one in laid] + [legend_width, len(self._graph.note) * _CHARACTER])
        below = sum((_LINE + _MARGIN) for present in (legend, self._graph.note) if present)
        root = self._root(width + 2 * _MARGIN, fsum(one.height + _MARGIN for one in laid) + below + _MARGIN)
        y = _MARGIN
        for box, one in zip(boxes, laid, strict=True):
            self._draw(root, box.key, one, y)
            y += one.height + _MARGIN
        x = _MARGIN
        for label, action in legend:
            _rectangle(root, Rectangle(x=x, y=y + 1, width=14, height=14), f"step {action}", 3)
            _text(root, x + 20, y + 12, label, "quiet")
            x += _legend_width(label)
        if self._graph.note:
            _text(root, _MARGIN, y + (_LINE + _MARGIN if legend else 0) + 12, self._graph.note, "quiet")
        return root

    def _root(self, width: float, height: float) -> Element:
        size = {
            "width": _number(width),
            "height": _number(height),
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
        }
        root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img", "font-family": _FONT})
        root.attrib |= {"font-size": "12", "aria-labelledby": "title desc"}
        SubElement(root, "title", id="title").text = self._graph.title
        SubElement(root, "desc", id="desc").text = " ".join(self._sentences())
        rules = (
            f".{name}{{{';'.join(f'{key}:{value}' for key, value in how.items())}}}" for name, how in _DARK.items()
        )
        SubElement(root, "style").text = f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"
        page = Rectangle(x=0.5, y=0.5, width=width - 1, height=height - 1)
        _rectangle(root, page, "page", 6)
        return root

    def _sentences(self) -> Iterator[str]:
        """The picture in words, for those who hear it; no longer than somebody listens."""
        for graph in self._graph.workflows:
            yield f"Workflow {graph.workflow}: {_count(len(graph.steps), 'step')}."
            for channel in graph.channels[:20]:
                producers, consumers = _names(channel.producers), _names(channel.consumers)
                what = "The message " if channel.is_message else ""
                yield f"{what}{channel.name} over {channel.transport}: from {producers} to {consumers}."
            changed = [step for step in graph.steps if step.change.action not in {"", "unchanged"}]
            yield from (f"{step.name}: {step.change}." for step in changed[:20])

    def _workflow(self, graph: WorkflowGraph) -> Box:
        members: dict[tuple[str, ...], list[Leaf]] = {(): []}
        for step in graph.steps:
            key = ("step", graph.workflow, step.name)
            self._steps[key] = step
            members.setdefault(_scope(step.name), []).append(_leaf(key, _step_lines(step)))
        for channel in graph.channels:
            self._channel(graph.workflow, channel, members)
        return self._box(graph.workflow, (), members)

    def _channel(self, workflow: str, channel: GraphChannel, members: dict[tuple[str, ...], list[Leaf]]) -> None:
        key = ("message" if channel.is_message else "channel", workflow, channel.name)
        self._channels[key] = channel
        ends = [("out", end) for end in channel.producers] + [("in", end) for end in channel.consumers]
        scope = _shared([_scope(end.step) for _, end in ends])
        members.setdefault(scope, []).append(_leaf(key, _channel_lines(channel)))
        for side, end in ends:
            at: Key = ("step", workflow, end.step)
            if end.adapter is not None:
                adapter = ("adapter", workflow, channel.name, side, end.step)
                self._adapters[adapter] = ("writer" if side == "out" else "reader", end.adapter)
                members.setdefault(_scope(end.step), []).append(
                    _leaf(adapter, _adapter_lines(*self._adapters[adapter]))
                )
                self._join(at, adapter, side, via=adapter)
                at = adapter
            self._join(at, key, side, via=key)

    def _join(self, one: Key, other: Key, side: str, via: Key) -> None:
        """A link from the one to the other where events go out, and the other way where they come in."""
        source, target = (one, other) if side == "out" else (other, one)
        self._links.append(Joined(source=source, target=target, via=via))

    def _box(self, workflow: str, scope: tuple[str, ...], members: Mapping[tuple[str, ...], Iterable[Leaf]]) -> Box:
        depth = len(scope)
        below = sorted({other[: depth + 1] for other in members if other[:depth] == scope and len(other) > depth})
        key = ("box", workflow, *scope)
        self._titles[key] = f"module {scope[-1]}" if scope else f"workflow {workflow}"
        inner = tuple(self._box(workflow, module, members) for module in below)
        return Box(
            key=key,
            members=(*members.get(scope, ()), *inner),
            title_width=len(self._titles[key]) * _CHARACTER,
            title_height=_TITLE - 8,
        )

    def _draw(self, root: Element, outermost: Key, laid: Laid, y: float) -> None:
        whole = laid.shifted(_MARGIN, y)
        whole.rectangles[outermost] = Rectangle(x=_MARGIN, y=y, width=laid.width, height=laid.height)
        boxes = sorted((key for key in whole.rectangles if key in self._titles), key=len)
        for key in boxes:
            place = whole.rectangles[key]
            _rectangle(root, place, "box", 8)
            _text(root, place.x + 12, place.y + 18, self._titles[key], "quiet", bold=True)
        for route in whole.routes:
            _draw_route(root, route)
        for key, place in whole.rectangles.items():
            if key in self._steps:
                step = self._steps[key]
                _node(root, place, f"step {step.change.action}".strip(), 6, _step_lines(step))
            elif key in self._channels:
                _node(root, place, "channel", place.height / 2, _channel_lines(self._channels[key]))
            elif key in self._adapters:
                role, change = self._adapters[key]
                _node(root, place, f"step {change.action}".strip(), place.height / 2, _adapter_lines(role, change))


def _legend_width(label: str) -> float:
    return 20 + len(label) * _CHARACTER + _MARGIN


def _scope(step: str) -> tuple[str, ...]:
    """The modules around a step, the outermost first."""
    return tuple(step.split(".")[:-1])


def _shared(scopes: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, *others = scopes or [()]
    depth = 0
    while depth < len(first) and all(other[: depth + 1] == first[: depth + 1] for other in others):
        depth += 1
    return first[:depth]


def _step_lines(step: GraphStep) -> list[str]:
    return [line for line in (step.name.split(".")[-1], step.use, step.place, str(step.change)) if line]


def _channel_lines(channel: GraphChannel) -> list[str]:
    return [channel.name.split(".")[-1], channel.transport]


def _adapter_lines(role: str, change: Change) -> list[str]:
    return [line for line in (f"{role} (adapter)", str(change)) if line]


def _names(ends: tuple[GraphEnd, ...]) -> str:
    names = [end.step for end in ends]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _leaf(key: Key, lines: list[str]) -> Leaf:
    return Leaf(key=key, width=max(len(line) for line in lines) * _CHARACTER + 20, height=len(lines) * _LINE + 10)


def _node(root: Element, place: Rectangle, kind: str, radius: float, lines: list[str]) -> None:
    _rectangle(root, place, kind, radius)
    for index, line in enumerate(lines):
        middle, below = place.x + place.width / 2, place.y + 5 + (index + 0.75) * _LINE
        _text(root, middle, below, line, "text", bold=not index, anchor="middle")


def _rectangle(root: Element, place: Rectangle, kind: str, radius: float) -> None:
    look: dict[str, str] = {}
    for name in kind.split():
        look |= _LIGHT[name]
    size = {"x": place.x, "y": place.y, "width": place.width, "height": place.height, "rx": radius}
    SubElement(root, "rect", {"class": kind, **{key: _number(value) for key, value in size.items()}, **look})


def _text(root: Element, x: float, y: float, text: str, kind: str, *, bold: bool = False, anchor: str = "") -> None:
    look = {"class": kind, "x": _number(x), "y": _number(y), **_LIGHT[kind]}
    if bold:
        look["font-weight"] = "bold"
    if anchor:
        look["text-anchor"] = anchor
    SubElement(root, "text", look).text = text


def _draw_route(root: Element, route: Route) -> None:
    (left, right, height), *others = route.stretches
    way = [f"M{_number(left)} {_number(height)}H{_number(right)}"]
    for next_left, next_right, next_height in others:
        bend = (next_left - right) / 2
        turns = (right + bend, height, next_left - bend, next_height, next_left, next_height)
        way.append("C" + " ".join(_number(value) for value in turns) + f"H{_number(next_right)}")
        right, height = next_right, next_height
    broken = {"stroke-dasharray": "5 3"} if route.is_broken else {}
    SubElement(root, "path", {"class": "link", "d": "".join(way), **_LIGHT["link"], **broken})
    if route.arrow_at:
        tip, away = (right, -8) if route.arrow_at == "end" else (left, 8)
        at = height if route.arrow_at == "end" else route.stretches[0][2]
        points = [(tip, at), (tip + away, at - 4), (tip + away, at + 4)]
        corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        SubElement(root, "polygon", {"class": "head", "points": corners, **_LIGHT["head"]})


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
