"""`parse`: the text of a field becomes a value; the text of an event is JSON already."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Callable

from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.actions import Action, ActionError, fields_of
from gitopsd.runner.roles.transform.json_text import decode
from gitopsd.runner.roles.transform.timestamps import compile_timestamp

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

Parser = Callable[[object], object]
"""From the value of a field to what it says. Raises ActionError, ValueError."""

THE_EVENT = "@"
"""As `into`: the parsed object's fields become the event's own."""

_LONGEST_PATTERN = 10_000
_NEWER_SYNTAX = re.compile(r"[*+?}]\+|\(\?>")
"""Python 3.11 reads these, and workers may have 3.9."""


def compile_parse(action: Settings) -> Action:
    """`parse: json`, or `parse: {field, format, into, ...}`. Raises JobError."""
    if action.is_text("parse"):
        action.choice("parse", ("json",))
        return lambda event: event  # every event is parsed anyway: by itself this sorts out what isn't JSON
    settings = action.section("parse")
    formats = {
        "json": _json,
        "csv": _csv,
        "key-value": _key_value,
        "regex": _regex,
        "timestamp": compile_timestamp,
    }
    name = settings.text("field")
    format_ = settings.choice("format", tuple(formats))
    settings.only("field", "format", "into", *_MORE[format_])
    return _into(settings.text("into", name), name, formats[format_](settings))


_MORE = {
    "json": (),
    "csv": ("columns", "separator"),
    "key-value": ("separator", "assign"),
    "regex": ("pattern",),
    "timestamp": ("pattern", "zone", "to"),
}


def _into(target: str, name: str, parser: Parser) -> Action:
    def apply(event: object) -> object:
        fields = fields_of(event)
        if name not in fields:
            raise ActionError(f"the event has no field {name[:100]}")
        try:
            value = parser(fields[name])
        except (ActionError, ValueError) as error:
            raise ActionError(f"{name[:100]}: {error}") from error
        if target != THE_EVENT:
            return {**fields, target: value}
        if type(value) is not dict:
            raise ActionError(f"{name[:100]}: it is not an object, so it can't become the event's fields")
        return {**fields, **value}

    return apply


def text_of(value: object) -> str:
    if type(value) is not str:
        raise ActionError("it is not a text")
    return value


def _json(_settings: Settings) -> Parser:
    def parse(value: object) -> object:
        text = text_of(value)
        try:
            return decode(text)
        except json.JSONDecodeError as error:
            raise ActionError(f"it is not JSON: {error}") from error

    return parse


def _csv(settings: Settings) -> Parser:
    columns = settings.texts("columns")
    separator = _character(settings, "separator", ",")

    def parse(value: object) -> object:
        try:
            rows = list(csv.reader([text_of(value)], delimiter=separator, strict=True))
        except csv.Error as error:
            raise ActionError(f"it is not CSV: {error}") from error
        cells = rows[0] if len(rows) == 1 else []
        if len(cells) != len(columns):
            raise ActionError(f"it has {len(cells)} columns instead of {len(columns)}")
        return dict(zip(columns, cells))

    return parse


def _key_value(settings: Settings) -> Parser:
    """Logfmt with other characters, if wanted: a word by itself is a key whose value is true."""
    separator = re.escape(_character(settings, "separator", " "))
    assign = re.escape(_character(settings, "assign", "="))
    pair = re.compile(
        rf"(?:{separator}|\s)*([^\s{separator}{assign}]+)(?:{assign}(?:(\"(?:[^\"\\]|\\.)*\")|([^{separator}]*)))?"
        rf"(?={separator}|\s|$)"
    )

    def parse(value: object) -> object:
        text = text_of(value).rstrip()
        found: dict[str, object] = {}
        at = 0
        while at < len(text):
            match = pair.match(text, at)
            if match is None:
                raise ActionError(f"it is not made of pairs from character {at + 1} on")
            key, quoted, plain = match.groups()
            found[key] = json.loads(quoted) if quoted is not None else True if plain is None else plain.strip()
            at = match.end()
        return found

    return parse


def _regex(settings: Settings) -> Parser:
    text = settings.text("pattern")
    where = f"{settings.where}.pattern"
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "_", text, flags=re.DOTALL)
    if len(text) > _LONGEST_PATTERN:
        raise JobError(f"{where} is longer than {_LONGEST_PATTERN} characters; split it over several actions")
    if _NEWER_SYNTAX.search(plain):
        raise JobError(f"{where} has a possessive or atomic part, which Python 3.9 can't read; write it without")
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise JobError(f"{where} is not a regular expression: {error}; correct it in the workflow") from error
    if not pattern.groupindex:
        raise JobError(f"{where} names no group; name what to take: (?P<name>...)")

    def parse(value: object) -> object:
        match = pattern.search(text_of(value))
        if match is None:
            raise ActionError("the pattern isn't found in it")
        return match.groupdict()

    return parse


def _character(settings: Settings, key: str, default: str) -> str:
    value = settings.text(key, default)
    if len(value) != 1 or value in '"\n\r\\\0':
        raise settings.wrong(key, "one character, and neither a quote nor a backslash")
    return value
