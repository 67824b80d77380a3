"""YAML 1.2 into plain values, with the place of every key and value.

Parsed by ruamel.yaml's C parser into events, and composed here so that depth, anchors, aliases, tags, duplicate keys
and the number of nodes are checked before anything is built from them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gitopsd.model.diagnostic import Diagnostic, Location, Related

MAX_DEPTH = 40
MAX_NODES = 500_000

Pointer = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of sequences from the root."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_INTEGER_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML file: its value as plain Python (None when it couldn't be read), and where each part stands."""

    path: str
    value: Any
    values: dict[Pointer, Location] = field(default_factory=dict)
    keys: dict[Pointer, Location] = field(default_factory=dict)

    def locate(self, *pointer: str | int) -> Location:
        """The place of the value at the pointer, or of its nearest ancestor that was written down."""
        return self._nearest(self.values, pointer)

    def locate_key(self, *pointer: str | int) -> Location:
        """The place of the key that leads to the pointer, or of its nearest ancestor."""
        return self.keys.get(pointer) or self._nearest(self.values, pointer)

    def _nearest(self, places: dict[Pointer, Location], pointer: Pointer) -> Location:
        for length in range(len(pointer), -1, -1):
            if pointer[:length] in places:
                return places[pointer[:length]]
        return Location(path=self.path)


class _Refused(Exception):
    """The document can't be composed; carries the one diagnostic that says why."""

    def __init__(self, code: str, message: str, location: Location, hint: str) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code=code, message=message, location=location, hint=hint)


def read_yaml(path: str, content: bytes) -> tuple[Document, list[Diagnostic]]:
    """The document and what is wrong with it; its value is None when it can't be used at all."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return _unusable(path, _not_utf8(path, content, error.start))
    text = text.removeprefix("\ufeff")
    try:
        composer = _Composer(path, YAML(typ="safe").parse(text))
        value = composer.compose()
    except _Refused as refused:
        return _unusable(path, refused.diagnostic)
    except YAMLError as error:
        return _unusable(path, _syntax_error(path, error))
    return Document(path=path, value=value, values=composer.values, keys=composer.keys), composer.diagnostics


def _unusable(path: str, diagnostic: Diagnostic) -> tuple[Document, list[Diagnostic]]:
    return Document(path=path, value=None), [diagnostic]


def _not_utf8(path: str, content: bytes, offset: int) -> Diagnostic:
    line = content.count(b"\n", 0, offset) + 1
    column = offset - content.rfind(b"\n", 0, offset)
    return Diagnostic(
        code="not-utf8",
        message=f"byte 0x{content[offset]:02x} is not UTF-8 text",
        location=Location(path=path, line=line, column=column, end_line=line, end_column=column + 1),
        hint="save the file as UTF-8",
    )


def _syntax_error(path: str, error: YAMLError) -> Diagnostic:
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = error.problem if isinstance(error, MarkedYAMLError) else None
    return Diagnostic(
        code="yaml-syntax",
        message=message or " ".join(str(error).split()) or "this is not YAML",
        location=Location(path=path, line=line, column=column, end_line=line, end_column=column + 1),
        hint="check the indentation, quotes and brackets here and on the line before",
    )


class _Composer:
    """Builds one plain value from events, iteratively in width and bounded in depth."""

    def __init__(self, path: str, events: Iterator[Any]) -> None:
        self._path = path
        self._events = events
        self._nodes = 0
        self.values: dict[Pointer, Location] = {}
        self.keys: dict[Pointer, Location] = {}
        self.diagnostics: list[Diagnostic] = []

    def compose(self) -> Any:
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Refused(
                        "yaml-several-documents", "a second document starts here", self._location(event),
                        "one file holds one document: remove the `---`, or move what follows to a file of its own",
                    )  # fmt: skip
            elif isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
                value = self._value(event, ())
        return value

    def _location(self, event: Any, end: Any = None) -> Location:
        start, stop = event.start_mark, (end or event).end_mark
        return Location(
            path=self._path,
            line=start.line + 1,
            column=start.column + 1,
            end_line=stop.line + 1,
            end_column=stop.column + 1,
        )

    def _value(self, event: Any, pointer: Pointer) -> Any:
        self._check(event, pointer)
        if isinstance(event, ScalarEvent):
            self.values[pointer] = self._location(event)
            return self._scalar(event)
        if isinstance(event, SequenceStartEvent):
            self.values[pointer] = self._location(event)
            items: list[Any] = []
            while not isinstance(item := next(self._events), SequenceEndEvent):
                items.append(self._value(item, (*pointer, len(items))))
            return items
        self.values[pointer] = self._location(event)
        return self._mapping(pointer)

    def _mapping(self, pointer: Pointer) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(key_event := next(self._events), MappingEndEvent):
            self._check(key_event, pointer)
            if not isinstance(key_event, ScalarEvent):
                raise _Refused(
                    "yaml-key", "a key must be plain text", self._location(key_event), "write `key: value` with a name"
                )
            key = key_event.value
            if key == "<<" and key_event.implicit[0]:
                raise _Refused(
                    "yaml-merge-key", "merge keys (`<<`) are not allowed", self._location(key_event),
                    "write the keys out, or share them through a blueprint or parameters",
                )  # fmt: skip
            here = (*pointer, key)
            place = self._location(key_event)
            if key in entries:
                first = Related(message=f"`{key}` is here first", location=self.keys[here])
                self.diagnostics.append(
                    Diagnostic(
                        code="duplicate-key",
                        message=f"the key `{key}` stands twice in one mapping",
                        location=place,
                        related=(first,),
                        hint="keep one of the two",
                    )
                )
                self._value(next(self._events), (*pointer, f"{key}\0again"))
                continue
            self.keys[here] = place
            entries[key] = self._value(next(self._events), here)
        return entries

    def _check(self, event: Any, pointer: Pointer) -> None:
        self._nodes += 1
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(
                "yaml-alias", "anchors and aliases are not allowed", self._location(event),
                "write the value out, or share it through a parameter",
            )  # fmt: skip
        if len(pointer) > MAX_DEPTH:
            raise _Refused(
                "yaml-too-deep", f"nested deeper than {MAX_DEPTH} levels", self._location(event), "flatten the structure"
            )
        if self._nodes > MAX_NODES:
            raise _Refused(
                "yaml-too-large", f"more than {MAX_NODES:,} values in one file", self._location(event), "split the file"
            )
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) != "!":
            raise _Refused("yaml-tag", f"the tag {tag} is not allowed", self._location(event), "remove the tag")

    def _scalar(self, event: ScalarEvent) -> Any:
        """A scalar by the core schema of YAML 1.2; quoted ones and dates stay text."""
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in {"", "~", "null", "Null", "NULL"}:
            return None
        if text in {"true", "True", "TRUE"}:
            return True
        if text in {"false", "False", "FALSE"}:
            return False
        if _INTEGER.fullmatch(text):
            if len(text) > _MAX_INTEGER_DIGITS + 2:
                raise _Refused(
                    "yaml-number", "this number is too large", self._location(event), "quote it if it is meant as text"
                )
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if _FLOAT.fullmatch(text):
            return float(text)
        return text
