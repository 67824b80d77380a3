"""YAML 1.2 into plain values. Places of keys and values are looked up only when something is wrong; see yaml_places.

Parsed by ruamel.yaml's C parser into events, and composed here so that depth, anchors, aliases, tags, duplicate keys
and the number of nodes are checked before anything is built from them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import isinf
from typing import Any

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

from gitopsd.compiler.declarations.mistakes import MAX_MISTAKES, first_mistakes
from gitopsd.compiler.words import short
from gitopsd.compiler.yaml.places import Places, Pointer, event_location, find_places, read_events
from gitopsd.model.diagnostic import Diagnostic, Location, Related

MAX_DEPTH = 40
MAX_NODES = 500_000

_NOT_TEXT = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML doesn't allow, and the line breaks that YAML 1.1 and 1.2 disagree about (U+0085, U+2028, U+2029)."""

_DIRECTIVE = re.compile(r"\A(?:[ \t]*(?:#[^\r\n]*)?[\r\n])*(%)|[\r\n](%)(?:TAG|YAML)[ \t]")
"""Before the first document whatever it says, and before a later one, which is refused only once they are read.

A line of quoted text that begins so can be written otherwise; it takes libyaml quadratic time to read many of them.
"""
_SURROGATE = re.compile("[\ud800-\udfff]")
_BEYOND_UNICODE = re.compile(r"\\U(?!000|0010)[0-9a-fA-F]{8}")
_NO_CHARACTER = "an escape in double quotes is the number of no character"
_NO_CHARACTER_HINT = "write the character itself, or `\\U` with its eight hexadecimal digits"

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LARGEST = 2**63 - 1
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_SPECIAL_STARTS = frozenset("0123456789+-.").union(word[:1] for word in _WORDS)


@dataclass(frozen=True, kw_only=True)  # without slots: `_places` is kept in the instance once it was asked for
class Document:
    """One YAML file: its value as plain Python (None when it couldn't be read), and where each part stands."""

    path: str
    value: Any
    text: str = ""

    def locate(self, *pointer: str | int) -> Location:
        """The place of the value at the pointer, or of its nearest ancestor that was written down."""
        return self._places.value(pointer)

    def locate_key(self, *pointer: str | int) -> Location:
        """The place of the key that leads to the pointer, or of its nearest ancestor."""
        return self._places.key(pointer)

    def locate_within(self, pointer: Pointer, start: int, end: int) -> Location:
        """The place of a part of the text at the pointer, by offsets in it; all of it where that can't be told."""
        return self._places.within(pointer, start, end)

    @cached_property
    def _places(self) -> Places:
        return find_places(self.path, self.text)


_SYNTAX_HINTS = {
    "found unexpected ':'": "put quotes around text that holds a colon",
    "mapping values are not allowed in this context": "put quotes around text that holds a colon, or check the "
    "indentation",
    "found character that cannot start any token": "put quotes around text that begins with `@`, `%`, `*`, `&` or a "
    "backtick",
    "did not find expected ',' or '}'": 'check the brackets; an expression needs quotes: "${{ … }}"',
    "did not find expected ',' or ']'": 'check the brackets; an expression needs quotes: "${{ … }}"',
    "could not find expected ':'": "write `key: value`; a line of a merge conflict (`<<<<<<<`) has to be resolved",
}
"""By what libyaml says."""


class _Refused(Exception):  # noqa: N818 - the document is refused; the error is the author's
    """The document can't be composed; carries the one diagnostic that says why."""

    def __init__(self, code: str, message: str, location: Location, hint: str) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code=code, message=message, location=location, hint=hint)


def read_yaml(path: str, content: bytes) -> tuple[Document, list[Diagnostic]]:
    """The document and what is wrong with it; its value is None when it can't be used at all."""
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return _unusable(path, _not_utf8(path, content, error.start))
    unfit = _unfit(path, text)
    if unfit:
        return _unusable(path, unfit)
    try:
        composer, value = read_events(text, partial(_composed, path))
    except _Refused as refused:
        return _unusable(path, refused.diagnostic)
    except YAMLError as error:
        return _unusable(path, _syntax_error(path, text, error))
    except (ValueError, OverflowError):  # of the parser in Python, for the number of a character that there isn't
        return _unusable(path, _no_character(path, text))
    document = Document(path=path, value=value, text=text)
    return document, first_mistakes(_duplicate(document, *twice) for twice in composer.duplicates)


def _composed(path: str, events: Iterator[Any]) -> tuple["_Composer", Any]:
    composer = _Composer(path, events)
    return composer, composer.compose()


def _unusable(path: str, diagnostic: Diagnostic) -> tuple[Document, list[Diagnostic]]:
    return Document(path=path, value=None), [diagnostic]


def _not_utf8(path: str, content: bytes, offset: int) -> Diagnostic:
    before = content[:offset].decode("utf-8").removeprefix("\ufeff")
    return Diagnostic(
        code="not-utf8",
        message=f"byte 0x{content[offset]:02x} is not UTF-8 text",
        location=_end_of(path, before),
        hint="save the file as UTF-8",
    )


def _not_text(path: str, text: str, offset: int) -> Diagnostic:
    return Diagnostic(
        code="yaml-character",
        message=f"the character U+{ord(text[offset]):04X} can't stand in a YAML file",
        location=_end_of(path, text[:offset]),
        hint=f'remove it, or write it as "\\u{ord(text[offset]):04x}" in double quotes',
    )


def _unfit(path: str, text: str) -> Diagnostic | None:
    """What can be told before the text is parsed, and without the time that it would take."""
    unfit = _NOT_TEXT.search(text)
    if unfit:
        return _not_text(path, text, unfit.start())
    directive = _DIRECTIVE.search(text)
    if directive is None:
        return None
    return Diagnostic(
        code="yaml-directive",
        message="directives (`%`) are not allowed",
        location=_end_of(path, text[: directive.start(directive.lastindex or 0)]),
        hint="remove the line; every file is YAML 1.2",
    )


def _no_character(path: str, text: str) -> Diagnostic:
    found = _BEYOND_UNICODE.search(text)
    return Diagnostic(
        code="yaml-syntax",
        message=_NO_CHARACTER,
        location=_end_of(path, text[: found.start()]) if found else Location(path=path),
        hint=_NO_CHARACTER_HINT,
    )


def _end_of(path: str, before: str) -> Location:
    """The place of the character that follows the text."""
    lines = re.split("\r\n|\r|\n", before)
    line, column = len(lines), len(lines[-1]) + 1
    return Location(path=path, line=line, column=column, end_line=line, end_column=column + 1)


def _syntax_error(path: str, text: str, error: YAMLError) -> Diagnostic:
    marked = error if isinstance(error, MarkedYAMLError) else MarkedYAMLError()
    mark = marked.problem_mark or marked.context_mark
    place = _mark_location(path, mark) if mark else Location(path=path)
    context: tuple[Related, ...] = ()
    if mark and marked.context and marked.context_mark and marked.context_mark.line != mark.line:
        context = (Related(message=marked.context, location=_mark_location(path, marked.context_mark)),)
    at_tab = bool(mark) and text[mark.index : mark.index + 1] == "\t"
    return Diagnostic(
        code="yaml-syntax",
        message=marked.problem or short(" ".join(str(error).split()), 200) or "this is not YAML",
        location=place,
        related=context,
        hint=_syntax_hint(marked.problem, at_tab=at_tab),
    )


def _syntax_hint(problem: str | None, *, at_tab: bool) -> str:
    if at_tab:
        return "indent with spaces instead of tabs"
    return _SYNTAX_HINTS.get(problem or "", "check the indentation, quotes and brackets here and on the line before")


def _mark_location(path: str, mark: Any) -> Location:
    line, column = mark.line + 1, mark.column + 1
    return Location(path=path, line=line, column=column, end_line=line, end_column=column + 1)


def _duplicate(document: Document, pointer: Pointer, place: Location) -> Diagnostic:
    key = short(pointer[-1])
    first = Related(message=f"`{key}` is here first", location=document.locate_key(*pointer))
    return Diagnostic(
        code="duplicate-key",
        message=f"the key `{key}` stands twice in one mapping",
        location=place,
        related=(first,),
        hint="keep one of the two",
    )


class _Composer:
    """Builds one plain value from events, bounded in depth and in the number of nodes."""

    def __init__(self, path: str, events: Iterator[Any]) -> None:
        self._path = path
        self._events = events
        self._nodes = 0
        self._way: list[str | int] = []
        self.duplicates: list[tuple[Pointer, Location]] = []

    def compose(self) -> Any:
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refusal(
                        event, "yaml-several-documents", "a second document starts here",
                        "one file holds one document: remove the `---`, or move what follows to a file of its own",
                    )  # fmt: skip
            elif isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
                value = self._value(event)
        return value

    def _refusal(self, event: Any, code: str, message: str, hint: str) -> _Refused:
        return _Refused(code, message, event_location(self._path, event), hint)

    def _value(self, event: Any) -> Any:
        self._nodes += 1
        if event.anchor is not None or event.ctag is not None or self._nodes > MAX_NODES:
            self._check(event)
        kind = type(event)
        if kind is ScalarEvent:
            return self._scalar(event)
        if len(self._way) >= MAX_DEPTH:
            raise self._refusal(
                event, "yaml-too-deep", f"nested deeper than {MAX_DEPTH} levels", "flatten the structure"
            )
        return self._sequence() if kind is SequenceStartEvent else self._mapping()

    def _sequence(self) -> list[Any]:
        items: list[Any] = []
        self._way.append(0)
        for event in self._events:
            if type(event) is SequenceEndEvent:
                break
            self._way[-1] = len(items)
            items.append(self._value(event))
        self._way.pop()
        return items

    def _mapping(self) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        self._way.append("")
        for event in self._events:
            if type(event) is MappingEndEvent:
                break
            key = self._key(event)
            twice = key in entries
            self._way[-1] = key
            if twice and len(self.duplicates) <= MAX_MISTAKES:
                self.duplicates.append(((*self._way,), event_location(self._path, event)))
            value = self._value(next(self._events))
            if not twice:
                entries[key] = value
        self._way.pop()
        return entries

    def _key(self, event: Any) -> str:
        self._nodes += 1
        if event.anchor is not None or event.ctag is not None or self._nodes > MAX_NODES:
            self._check(event)
        if type(event) is not ScalarEvent or not event.value:
            message = "a key must be text, and not empty"
            raise self._refusal(event, "yaml-key", message, "write `key: value` with a name")
        if event.value == "<<" and event.implicit[0]:
            raise self._refusal(
                event, "yaml-merge-key", "merge keys (`<<`) are not allowed",
                "write the keys out, or share them through a blueprint or parameters",
            )  # fmt: skip
        key: str = event.value
        self._check_characters(event)
        return key

    def _check_characters(self, event: Any) -> None:
        """The parser in Python lets half a character pass."""
        if not event.value.isascii() and _SURROGATE.search(event.value):
            raise self._refusal(event, "yaml-syntax", _NO_CHARACTER, _NO_CHARACTER_HINT)

    def _check(self, event: Any) -> None:
        """Of the few events that could be refused; a lone `!` is fine."""
        if event.anchor is not None:
            raise self._refusal(
                event, "yaml-alias", "anchors and aliases are not allowed",
                "write the value out, or share it through a parameter",
            )  # fmt: skip
        if event.ctag is not None and str(event.tag) != "!":
            tag = short(str(event.tag).replace("tag:yaml.org,2002:", "!!"))
            raise self._refusal(event, "yaml-tag", f"the tag `{tag}` is not allowed", "remove the tag")
        if self._nodes > MAX_NODES:
            raise self._refusal(
                event, "yaml-too-large", f"more than {MAX_NODES:,} keys and values in one file", "split the file"
            )

    def _scalar(self, event: ScalarEvent) -> Any:
        """A scalar by the core schema of YAML 1.2; quoted ones and dates stay text."""
        text: str = event.value
        self._check_characters(event)
        if not event.implicit[0] or event.ctag is not None:
            return text
        if text[:1] not in _SPECIAL_STARTS:
            return text
        if text in _WORDS:
            return _WORDS[text]
        number: int | float
        if _INTEGER.fullmatch(text):
            # converting takes quadratic time, so the length comes first
            number = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) <= 32 else _LARGEST + 1
            fits = abs(number) <= _LARGEST
        elif _FLOAT.fullmatch(text):
            number = float(text)
            fits = not isinf(number)
        else:
            fits = not _NOT_FINITE.fullmatch(text)
            if fits:
                return text
        if not fits:
            raise self._refusal(
                event, "yaml-number", "this number is too large or not finite", "quote it if it is meant as text"
            )
        return number
