"""Where each key and value of a YAML file stands. Asked for only by diagnostics, so correct files never pay for it."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from ruamel.yaml import YAML, cyaml
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gitopsd.compiler.yaml.scalars import LINE_BREAK, Scalar, range_in_file
from gitopsd.model.diagnostic import Location

T = TypeVar("T")

_LONGEST_FOR_PYTHON = 256_000
"""Characters: read by the parser in Python in about a second."""

Pointer = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of sequences from the root."""


@dataclass(frozen=True, kw_only=True)  # without slots: the starts of lines are kept once they were asked for
class Places:
    """The places of one file by pointer."""

    path: str
    text: str
    values: Mapping[Pointer, Location]
    keys: Mapping[Pointer, Location]
    scalars: Mapping[Pointer, Scalar]

    def value(self, pointer: Pointer) -> Location:
        """The place of the value, or of its nearest ancestor that was written down."""
        for length in range(len(pointer), -1, -1):
            if pointer[:length] in self.values:
                return self.values[pointer[:length]]
        return Location(path=self.path)

    def key(self, pointer: Pointer) -> Location:
        """The place of the key that leads to the pointer, or of its nearest ancestor: its key, else its value."""
        for length in range(len(pointer), -1, -1):
            for places in (self.keys, self.values):
                if pointer[:length] in places:
                    return places[pointer[:length]]
        return Location(path=self.path)

    def within(self, pointer: Pointer, start: int, end: int) -> Location:
        """The place of a part of a scalar, by offsets in its value; of the whole value where that can't be told."""
        scalar = self.scalars.get(pointer)
        found = range_in_file(self.text, scalar, start, end) if scalar else None
        if found is None:
            return self.value(pointer)
        (line, column), (end_line, end_column) = map(self._line_and_column, found)
        return Location(path=self.path, line=line, column=column, end_line=end_line, end_column=end_column)

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in LINE_BREAK.finditer(self.text))]


def read_events(text: str, build: Callable[[Iterator[Any]], T]) -> T:
    """What `build` makes of the text's events. Raises YAMLError.

    ruamel.yaml's C parser is libyaml 0.1, which refuses the colon of `{url: https://example.org}`; its parser in Python
    knows better, and takes ten times as long.
    """
    try:
        return build(iter(cyaml.CParser(text).get_event, None))  # type: ignore[attr-defined] # it comes from C
    except MarkedYAMLError as error:
        if error.problem != "found unexpected ':'" or len(text) > _LONGEST_FOR_PYTHON:
            raise
        return build(YAML(typ="safe", pure=True).parse(text))


def find_places(path: str, text: str) -> Places:
    """The places in a text that has been composed without a refusal. Of a key that stands twice, the first counts."""

    def walked(events: Iterator[Any]) -> _Walker:
        walker = _Walker(path, events)
        for event in events:
            if isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
                walker.walk(event, ())
        return walker

    walker = read_events(text, walked)
    return Places(path=path, text=text, values=walker.values, keys=walker.keys, scalars=walker.scalars)


def event_location(path: str, event: Any) -> Location:
    start, end = event.start_mark, event.end_mark
    return Location(
        path=path, line=start.line + 1, column=start.column + 1, end_line=end.line + 1, end_column=end.column + 1
    )


class _Walker:
    def __init__(self, path: str, events: Iterator[Any]) -> None:
        self._path = path
        self.events = events
        self.values: dict[Pointer, Location] = {}
        self.keys: dict[Pointer, Location] = {}
        self.scalars: dict[Pointer, Scalar] = {}

    def walk(self, event: Any, pointer: Pointer) -> None:
        self.values.setdefault(pointer, event_location(self._path, event))
        if isinstance(event, ScalarEvent):
            scalar = Scalar(event.style or "", event.value, event.start_mark.index, event.end_mark.index)
            self.scalars.setdefault(pointer, scalar)
        elif isinstance(event, SequenceStartEvent):
            index = 0
            while not isinstance(item := next(self.events), SequenceEndEvent):
                self.walk(item, (*pointer, index))
                index += 1
        elif isinstance(event, MappingStartEvent):
            while not isinstance(key := next(self.events), MappingEndEvent):
                below = (*pointer, key.value)
                self.keys.setdefault(below, event_location(self._path, key))
                self.walk(next(self.events), below)
