"""Why a document isn't what its declaration asks for: every mistake at once, each at its place, in plain words.

Told by the JSON Schema that msgspec derives from the declaration. Only the keywords that msgspec uses are known here;
where nothing is found, what msgspec itself said is given.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from gitopsd.compiler.declarations.mistakes import first_mistakes
from gitopsd.compiler.words import short, word_for
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.amounts import AMOUNT_RULES
from gitopsd.model.blueprint import URL_PATTERN
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.names import PATTERN_RULES, did_you_mean

_Schema = dict[str, Any]

_TYPE_WORDS = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "object": dict,
    "array": list,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}

_VALUE_RULES = {
    URL_PATTERN: "write an address of the worker itself, such as `http://127.0.0.1:8080/ready`",
    **AMOUNT_RULES,
}


def explain(document: Document, declaration: Any, refusal: Exception) -> list[Diagnostic]:
    """`refusal` is what msgspec said; used only where the schema finds nothing."""
    schema = _schema(declaration)
    explainer = _Explainer(document, schema["$defs"])
    if not isinstance(document.value, dict):
        found = "it is empty" if document.value is None else f"it is {word_for(document.value)}"
        first_key = next(iter(explainer.resolved(schema)["properties"]))
        return [
            Diagnostic(
                code="wrong-type",
                message=f"the file must hold a mapping, but {found}",
                location=document.locate(),
                hint=f"start it with `{first_key}:`",
            )
        ]
    said = Diagnostic(code="wrong-type", message=short(refusal, 300), location=document.locate())
    return first_mistakes(explainer.mistakes(document.value, schema, ())) or [said]


@cache
def _schema(declaration: Any) -> _Schema:
    return msgspec.json.schema(declaration)


class _Explainer:
    """Goes through one document and its schema side by side, as far as anybody asks for the next mistake."""

    def __init__(self, document: Document, definitions: Mapping[str, _Schema]) -> None:
        self._document = document
        self._definitions = definitions

    def resolved(self, schema: _Schema) -> _Schema:
        reference = schema.get("$ref")
        return self._definitions[reference.removeprefix("#/$defs/")] if reference else schema

    def mistakes(self, value: Any, schema: _Schema, at: Pointer) -> Iterator[Diagnostic]:
        """`at` is the way to the value."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            yield from self._alternatives(value, schema, at)
        elif "enum" in schema:
            if value not in schema["enum"]:
                yield self._wrong_choice(_name(at), value, schema["enum"], at)
        elif "type" in schema and not _is_of_type(value, schema["type"]):
            yield self._not_one_of([schema["type"]], value, at)
        else:
            yield from self._inside(value, schema, at)

    def _inside(self, value: Any, schema: _Schema, at: Pointer) -> Iterator[Diagnostic]:
        match value:
            case dict():
                yield from self._mapping(value, schema, at)
            case list():
                if len(value) < schema.get("minItems", 0):
                    yield self._wrong_value("must not be empty", at)
                if "items" in schema:
                    for index, item in enumerate(value):
                        yield from self.mistakes(item, schema["items"], (*at, index))
            case str():
                if len(value) > schema.get("maxLength", len(value)):
                    yield self._wrong_value(f"must have at most {schema['maxLength']} characters", at)
                if not re.search(schema.get("pattern", ""), value):
                    yield _bad_name(value, schema["pattern"], self._place(at))
            case int() | float():
                if value < schema.get("minimum", value):
                    yield self._wrong_value(f"must be at least {schema['minimum']}, not {value}", at)
                if value > schema.get("maximum", value):
                    yield self._wrong_value(f"must be at most {schema['maximum']}, not {value}", at)

    def _mapping(self, value: dict[str, Any], schema: _Schema, at: Pointer) -> Iterator[Diagnostic]:
        for missing in schema.get("required", ()):
            if missing not in value:
                yield Diagnostic(
                    code="missing-key",
                    message=f"{_name(at) or 'the file'} needs the key `{missing}`",
                    location=self._document.locate_key(*at),
                    hint=f"add `{missing}:`",
                )
        if len(value) < schema.get("minProperties", 0):
            yield self._wrong_value("must not be empty", at)
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        pattern = schema.get("propertyNames", {}).get("pattern", "")
        for key, item in value.items():
            way = (*at, key)
            if not re.search(pattern, key):
                yield _bad_name(key, pattern, self._document.locate_key(*way))
            if key in known:
                yield from self.mistakes(item, known[key], way)
            elif isinstance(others, dict):
                yield from self.mistakes(item, others, way)
            elif others is False:
                yield Diagnostic(
                    code="unknown-key",
                    message=f"unknown key `{short(key)}`" + (f" in {_name(at)}" if at else ""),
                    location=self._document.locate_key(*way),
                    hint=did_you_mean(key, known),
                )

    def _alternatives(self, value: Any, schema: _Schema, at: Pointer) -> Iterator[Diagnostic]:
        """Of several alternatives, speaks of the one that the author meant: by its tag, else by its type."""
        if "discriminator" in schema and isinstance(value, dict):
            yield from self._tagged(value, schema["discriminator"], at)
            return
        alternatives = [self.resolved(alternative) for alternative in schema["anyOf"]]
        for alternative in alternatives:
            if _is_of_type(value, alternative.get("type", "string")):
                yield from self.mistakes(value, alternative, at)
                return
        yield self._not_one_of([one["type"] for one in alternatives if "type" in one], value, at)

    def _tagged(self, value: dict[str, Any], discriminator: dict[str, Any], at: Pointer) -> Iterator[Diagnostic]:
        key: str = discriminator["propertyName"]
        mapping: dict[str, str] = discriminator["mapping"]
        tag = value.get(key)
        if tag is None:
            yield Diagnostic(
                code="missing-key",
                message=f"{_name(at)} needs the key `{key}`",
                location=self._document.locate_key(*at),
                hint="one of " + ", ".join(f"`{key}: {known}`" for known in mapping),
            )
        elif not isinstance(tag, str) or tag not in mapping:
            yield self._wrong_choice(f"`{key}`", tag, mapping, (*at, key))
        else:
            yield from self.mistakes(value, {"$ref": mapping[tag]}, at)

    def _wrong_choice(self, name: str, value: Any, options: Iterable[Any], at: Pointer) -> Diagnostic:
        return Diagnostic(
            code="wrong-value",
            message=f"{name} can't be {word_for(value)}",
            location=self._place(at),
            hint=did_you_mean(short(value, 200), map(str, options)),
        )

    def _not_one_of(self, types: Collection[str], value: Any, at: Pointer) -> Diagnostic:
        words = " or ".join(dict.fromkeys(_TYPE_WORDS.get(word, word) for word in types))
        message = f"{_name(at)} must be {words}, not {word_for(value)}"
        return Diagnostic(code="wrong-type", message=message, location=self._place(at), hint=_way_to(types, value))

    def _wrong_value(self, what: str, at: Pointer) -> Diagnostic:
        message = f"{_name(at) or 'the file'} {what}"
        return Diagnostic(code="wrong-value", message=message, location=self._place(at))

    def _place(self, at: Pointer) -> Location:
        """A mapping or list has no end that is worth showing: its key says more."""
        value: Any = self._document.value
        for part in at:
            value = value[part]
        if isinstance(value, dict | list) or value is None:
            return self._document.locate_key(*at)
        return self._document.locate(*at)


def _is_of_type(value: Any, kind: str) -> bool:
    """`2.0` is no whole number: JSON Schema lets it pass, msgspec doesn't."""
    return isinstance(value, _TYPES[kind]) and (not isinstance(value, bool) or kind == "boolean")


def _bad_name(text: str, pattern: str, location: Location) -> Diagnostic:
    rule = PATTERN_RULES.get(pattern)
    if rule is None:
        message = f"`{short(text)}` is not a valid value here"
        return Diagnostic(code="wrong-value", message=message, location=location, hint=_VALUE_RULES.get(pattern, ""))
    message = f"`{short(text)}` is not a valid name here"
    return Diagnostic(code="bad-name", message=message, location=location, hint=f"use {rule}")


def _name(at: Pointer) -> str:
    """The way to a value in the words of the file: `steps.collect.place`."""
    return "`" + short(".".join(short(part, 80) for part in at), 120) + "`" if at else ""


def _way_to(types: Collection[str], value: Any) -> str:
    """How a value of another type is written as one of these; empty where that can't be told."""
    if "string" in types and isinstance(value, bool | int | float):
        return f'put quotes around it: `"{short(value)}"`'
    if "array" in types and isinstance(value, str):
        return f"write a list: `[{short(value)}]`"
    if "array" not in types and isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return f"write it without brackets: `{short(value[0])}`"
    return ""
