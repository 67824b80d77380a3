"""A graph as Mermaid text, for pages and comments of a forge.

Names become generated ids, and every character of a label that could mean something to Mermaid, Markdown or HTML is
written as a number, so that no text from a repository can form a link, a command or markup.
"""

import re
from collections.abc import Iterator, Mapping

from gitopsd.planner.graph.draw import SIGNS, Change, Graph, GraphChannel, GraphEnd, GraphStep, WorkflowGraph, bounded

MAX_STEPS = 200
MAX_CHARACTERS = 49_000
"""Mermaid refuses texts of more than 50,000 characters, and it is a forge that sets the limit."""
MAX_LINKS = 490
"""Of Mermaid's 500."""

_COLOURS = {
    "create": "fill:#dafbe1,stroke:#1a7f37,color:#1f2328",
    "update": "fill:#fff8c5,stroke:#9a6700,color:#1f2328",
    "move": "fill:#ddf4ff,stroke:#0969da,color:#1f2328",
    "delete": "fill:#ffebe9,stroke:#cf222e,color:#1f2328,stroke-dasharray:5 3",
    "held": "fill:#fbefff,stroke:#8250df,color:#1f2328,stroke-width:3px",
    "unchanged": "fill:#f6f8fa,stroke:#8c959f,color:#1f2328",
}
_ACTIVE = re.compile(r"[^A-Za-z0-9 _.,/():=·-]")


def mermaid_text(graph: Graph, *, most_steps: int = MAX_STEPS, most_characters: int = MAX_CHARACTERS) -> str:
    """Whole Mermaid text, ending in a newline; of a large graph as much as a forge shows, and a note."""
    most = most_steps
    while True:
        shown = bounded(graph, most)
        lines = list(_Writer().lines(shown))
        text = "\n".join(lines) + "\n"
        links = sum("-->" in line or "-.->" in line for line in lines)
        if (len(text) <= most_characters and links <= MAX_LINKS) or most == 1:
            return text
        most = max(1, most * 2 // 3)


def _label(*parts: str) -> str:
    """Lines of plain text as the quoted text of a node."""
    return "<br/>".join(_ACTIVE.sub(lambda found: f"#{ord(found[0])};", part) for part in parts if part)


class _Writer:
    """Writes one graph; ids are a letter and a number, in the order in which things appear."""

    def __init__(self) -> None:
        self._ids = 0
        self._nodes: list[tuple[list[str], str]] = []
        """(the modules around it, its line)"""
        self._links: list[str] = []

    def lines(self, graph: Graph) -> Iterator[str]:
        yield "flowchart LR"
        yield f"  accTitle: {_label(graph.title)}"
        for one in graph.workflows:
            yield f'  subgraph {self._new("w")}["workflow {_label(one.workflow)}"]'
            yield "    direction LR"
            yield from self._workflow(one)
            yield "  end"
        if graph.note:
            yield f'  {self._new("n")}["{_label(graph.note)}"]'
        if graph.actions:
            yield f'  subgraph {self._new("l")}["legend"]'
            yield "    direction TB"
            for action in graph.actions:
                yield f'    {self._new("l")}["{_label(f"{action} {SIGNS[action]}")}"]:::{action}'
            yield "  end"
            yield from (f"  classDef {action} {_COLOURS[action]}" for action in graph.actions)

    def _workflow(self, graph: WorkflowGraph) -> Iterator[str]:
        self._nodes, self._links = [], []
        steps = {step.name: self._step(step) for step in graph.steps}
        for channel in graph.channels:
            self._channel(channel, steps)
        open_modules: list[str] = []
        for modules, node in sorted(self._nodes, key=lambda one: one[0]):
            while open_modules != modules[: len(open_modules)]:
                open_modules.pop()
                yield f"{_indent(open_modules)}end"
            for module in modules[len(open_modules) :]:
                yield f'{_indent(open_modules)}subgraph {self._new("m")}["module {_label(module)}"]'
                open_modules.append(module)
            yield _indent(open_modules) + node
        while open_modules:
            open_modules.pop()
            yield f"{_indent(open_modules)}end"
        yield from (f"    {link}" for link in self._links)

    def _step(self, step: GraphStep) -> str:
        key = self._new("s")
        label = _label(step.name.split(".")[-1], step.use, step.place, str(step.change))
        self._nodes.append((_modules(step.name), f'{key}["{label}"]{_class(step.change)}'))
        return key

    def _channel(self, channel: GraphChannel, steps: Mapping[str, str]) -> None:
        """Links with the channel's name, broken ones of a message.

        It is a node of its own where several producers meet several consumers.
        """
        label = _label(f"{channel.name.split('.')[-1]} · {channel.transport}")
        producers = [self._end(end, steps, "writer") for end in channel.producers]
        consumers = [self._end(end, steps, "reader") for end in channel.consumers]
        arrow = "-.->" if channel.is_message else "-->"
        if len(producers) > 1 and len(consumers) > 1:
            hub = self._new("c")
            self._nodes.append(([], f'{hub}(["{label}"])'))
            self._links += [f"{key} {arrow} {hub}" for key in producers]
            self._links += [f"{hub} {arrow} {key}" for key in consumers]
        else:
            self._links += [
                f'{producer} {arrow}|"{label}"| {consumer}' for producer in producers for consumer in consumers
            ]

    def _end(self, end: GraphEnd, steps: Mapping[str, str], role: str) -> str:
        """What the channel's link is attached to: the step, or the adapter in between."""
        step = steps[end.step]
        if end.adapter is None:
            return step
        key = self._new("a")
        node = f'{key}(["{_label(f"{role} (adapter)", str(end.adapter))}"]){_class(end.adapter)}'
        self._nodes.append((_modules(end.step), node))
        self._links.append(f"{step} --> {key}" if role == "writer" else f"{key} --> {step}")
        return key

    def _new(self, letter: str) -> str:
        self._ids += 1
        return f"{letter}{self._ids}"


def _modules(step: str) -> list[str]:
    return step.split(".")[:-1]


def _class(change: Change) -> str:
    return f":::{change.action}" if change.action else ""


def _indent(modules: list[str]) -> str:
    return "  " * (2 + len(modules))
