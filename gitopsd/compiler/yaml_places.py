"""Where each key and value of a YAML file stands. Asked for only by diagnostics, so correct files never pay for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gitopsd.model.diagnostic import Location

Pointer = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of sequences from the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of one file by pointer."""

    path: str
    values: Mapping[Pointer, Location]
    keys: Mapping[Pointer, Location]

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


def find_places(path: str, text: str) -> Places:
    """The places in a text that has been composed without a refusal. Of a key that stands twice, the first counts."""
    walker = _Walker(path, YAML(typ="safe").parse(text))
    for event in walker.events:
        if isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
            walker.walk(event, ())
    return Places(path=path, values=walker.values, keys=walker.keys)


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

    def walk(self, event: Any, pointer: Pointer) -> None:
        self.values.setdefault(pointer, event_location(self._path, event))
        if isinstance(event, SequenceStartEvent):
            index = 0
            while not isinstance(item := next(self.events), SequenceEndEvent):
                self.walk(item, (*pointer, index))
                index += 1
        elif isinstance(event, MappingStartEvent):
            while not isinstance(key := next(self.events), MappingEndEvent):
                below = (*pointer, key.value)
                self.keys.setdefault(below, event_location(self._path, key))
                self.walk(next(self.events), below)
