"""Why a document isn't what its declaration asks for: every mistake at once, each at its place, in plain words.

Found by the JSON Schema that msgspec derives from the declaration.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import msgspec

from gitopsd.compiler.words import short, word_for
from gitopsd.compiler.yaml_places import Pointer
from gitopsd.compiler.yaml_reader import Document
from gitopsd.model.blueprint import URL_PATTERN
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.names import PATTERN_RULES, did_you_mean

_Kind = jsonschema_rs.ValidationErrorKind
_Error = jsonschema_rs.ValidationError
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


def explain(document: Document, declaration: Any, refusal: Exception) -> list[Diagnostic]:
    """`refusal` is what msgspec said; used only where the schema finds nothing."""
    schema = _schema(declaration)
    if not isinstance(document.value, dict):
        found = "it is empty" if document.value is None else f"it is {word_for(document.value)}"
        first_key = next(iter(_resolve(schema, schema)["properties"]))
        return [
            Diagnostic(
                code="wrong-type",
                message=f"the file must hold a mapping, but {found}",
                location=document.locate(),
                hint=f"start it with `{first_key}:`",
            )
        ]
    explainer = _Explainer(document, schema)
    return [
        *explainer.mistakes_in(document.value, schema, ()),
        *explainer.fractions(document.value, ()),
    ] or [Diagnostic(code="wrong-type", message=str(refusal), location=document.locate())]


@cache
def _schema(declaration: Any) -> _Schema:
    return msgspec.json.schema(declaration)


@cache
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(msgspec.json.decode(schema))


def _resolve(schema: _Schema, root: _Schema) -> _Schema:
    reference = schema.get("$ref")
    return root["$defs"][reference.removeprefix("#/$defs/")] if reference else schema


class _Explainer:
    """Words for the errors of one document. `schema` is that of the whole file."""

    def __init__(self, document: Document, schema: _Schema) -> None:
        self._document = document
        self._schema = schema

    def mistakes_in(self, value: Any, schema: _Schema, at: Pointer) -> Iterator[Diagnostic]:
        """`at` is the way to the value that the schema speaks of; errors have their way from there."""
        for error in _validator(msgspec.json.encode(schema)).iter_errors(value):
            yield from self._diagnose(error, at)

    def fractions(self, value: Any, at: Pointer) -> Iterator[Diagnostic]:
        """Numbers such as `2.0` where a whole one belongs: JSON Schema lets them pass, msgspec doesn't."""
        match value:
            case dict():
                for key, item in value.items():
                    yield from self.fractions(item, (*at, key))
            case list():
                for index, item in enumerate(value):
                    yield from self.fractions(item, (*at, index))
            case float() if value.is_integer() and self._schema_at(at).get("type") == "integer":
                yield _wrong_type(f"{_name(at)} must be a whole number, not {word_for(value)}", self._place(at))

    def _diagnose(self, error: _Error, at: Pointer) -> Iterator[Diagnostic]:
        pointer = self._pointer(at, error)
        name = _name(pointer) or "the file"
        match error.kind:
            case _Kind.AdditionalProperties(unexpected=unexpected):
                known = self._schema_at(pointer).get("properties", {})
                for key in unexpected:
                    yield Diagnostic(
                        code="unknown-key",
                        message=f"unknown key `{short(key)}`" + (f" in {name}" if pointer else ""),
                        location=self._document.locate_key(*pointer, key),
                        hint=did_you_mean(key, known),
                    )
            case _Kind.Required(property=missing):
                yield Diagnostic(
                    code="missing-key",
                    message=f"{name} needs the key `{missing}`",
                    location=self._document.locate_key(*pointer),
                    hint=f"add `{missing}:`",
                )
            case _Kind.Type(types=types):
                yield self._not_one_of(types, error.instance, pointer)
            case _Kind.PropertyNames(error=inner):
                key = str(inner.instance)
                yield _bad_name(key, inner.kind, self._document.locate_key(*pointer, key))
            case _Kind.Pattern():
                yield _bad_name(str(error.instance), error.kind, self._place(pointer))
            case _Kind.Enum(options=options):
                yield self._wrong_choice(name, error.instance, options, pointer)
            case _Kind.AnyOf(context=branches):
                yield from self._explain_alternatives(error, branches, pointer, at)
            case _:
                yield Diagnostic(code="wrong-value", message=_in_words(error, name), location=self._place(pointer))

    def _pointer(self, at: Pointer, error: _Error) -> Pointer:
        """The way to what the error is about. The validator gives keys such as `007` as numbers."""
        pointer = at
        value: Any = self._document.value
        for part in at:
            value = value[part]
        for part in error.instance_path:
            if isinstance(value, dict) and part not in value:
                part = next(key for key in value if key.isdecimal() and int(key) == part)  # noqa: PLW2901
            pointer = (*pointer, part)
            value = value[part]
        return pointer

    def _explain_alternatives(
        self, error: _Error, branches: list[list[_Error]], pointer: Pointer, at: Pointer
    ) -> Iterator[Diagnostic]:
        """Of several alternatives, speaks of the one that the author meant: by its tag, else by its type."""
        discriminator = self._schema_at(pointer).get("discriminator")
        if discriminator and isinstance(error.instance, dict):
            yield from self._explain_tagged(error.instance, discriminator, pointer)
            return
        depth = len(error.instance_path)
        other_type = _Kind.Type if isinstance(error.instance, str) else (_Kind.Type, _Kind.Enum)
        of_its_type = [
            branch
            for branch in branches
            if not any(isinstance(inner.kind, other_type) and len(inner.instance_path) == depth for inner in branch)
        ]
        for branch in of_its_type[:1]:
            for inner in branch:
                yield from self._diagnose(inner, at)
        if not of_its_type:
            wanted = [word for branch in branches for inner in branch for word in getattr(inner.kind, "types", ())]
            yield self._not_one_of(wanted, error.instance, pointer)

    def _explain_tagged(
        self, value: dict[str, Any], discriminator: dict[str, Any], pointer: Pointer
    ) -> Iterator[Diagnostic]:
        key: str = discriminator["propertyName"]
        mapping: dict[str, str] = discriminator["mapping"]
        tag = value.get(key)
        if tag is None:
            yield Diagnostic(
                code="missing-key",
                message=f"{_name(pointer)} needs the key `{key}`",
                location=self._document.locate_key(*pointer),
                hint="one of " + ", ".join(f"`{key}: {known}`" for known in mapping),
            )
        elif not isinstance(tag, str) or tag not in mapping:
            yield self._wrong_choice(f"`{key}`", tag, mapping, (*pointer, key))
        else:
            meant = {"$ref": mapping[tag], "$defs": self._schema["$defs"]}
            yield from self.mistakes_in(value, meant, pointer)

    def _schema_at(self, way: Pointer) -> _Schema:
        """The part of the schema that speaks of the value at `way`; empty where anything goes."""
        node = _resolve(self._schema, self._schema)
        value: Any = self._document.value
        for part in way:
            node = self._below(self._meant(node, value), part)
            value = value[part]
        return node if "discriminator" in node and _tag(node, value) is None else self._meant(node, value)

    def _below(self, node: _Schema, part: str | int) -> _Schema:
        if isinstance(part, int):
            below = node.get("items")
        else:
            below = node.get("properties", {}).get(part) or node.get("additionalProperties")
        return _resolve(below, self._schema) if isinstance(below, dict) else {}

    def _meant(self, node: _Schema, value: Any) -> _Schema:
        """Of several alternatives, the one for this value."""
        alternatives = [_resolve(one, self._schema) for one in node.get("anyOf", ())]
        if not alternatives:
            return node
        tag = _tag(node, value)
        if tag is not None:
            return _resolve({"$ref": node["discriminator"]["mapping"][tag]}, self._schema)
        kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "string"
        return next((one for one in alternatives if one.get("type") == kind), {})

    def _wrong_choice(self, name: str, value: Any, options: Iterable[Any], pointer: Pointer) -> Diagnostic:
        return Diagnostic(
            code="wrong-value",
            message=f"{name} can't be {word_for(value)}",
            location=self._place(pointer),
            hint=did_you_mean(str(value), map(str, options)),
        )

    def _not_one_of(self, types: Iterable[str], value: Any, pointer: Pointer) -> Diagnostic:
        words = " or ".join(dict.fromkeys(_TYPE_WORDS.get(word, word) for word in types))
        return _wrong_type(f"{_name(pointer)} must be {words}, not {word_for(value)}", self._place(pointer))

    def _place(self, pointer: Pointer) -> Location:
        """A mapping or list has no end that is worth showing: its key says more."""
        value: Any = self._document.value
        for part in pointer:
            value = value[part]
        if isinstance(value, dict | list) or value is None:
            return self._document.locate_key(*pointer)
        return self._document.locate(*pointer)


def _tag(node: _Schema, value: Any) -> str | None:
    """The known tag that the value carries, where alternatives are told apart by one."""
    discriminator = node.get("discriminator")
    if discriminator is None or not isinstance(value, dict):
        return None
    tag = value.get(discriminator["propertyName"])
    return tag if isinstance(tag, str) and tag in discriminator["mapping"] else None


def _wrong_type(message: str, location: Location) -> Diagnostic:
    return Diagnostic(code="wrong-type", message=message, location=location)


def _in_words(error: _Error, name: str) -> str:
    match error.kind:
        case _Kind.Minimum(limit=limit):
            return f"{name} must be at least {limit}, not {error.instance}"
        case _Kind.Maximum(limit=limit):
            return f"{name} must be at most {limit}, not {error.instance}"
        case _Kind.MinProperties() | _Kind.MinItems():
            return f"{name} must not be empty"
        case _:
            return f"{name}: {short(error.message, 300)}"


def _bad_name(text: str, kind: Any, location: Location) -> Diagnostic:
    pattern = kind.pattern if isinstance(kind, _Kind.Pattern) else ""
    rule = PATTERN_RULES.get(pattern)
    if rule is None:
        hint = "write an address of the worker itself, such as `http://127.0.0.1:8080/ready`"
        message = f"`{short(text)}` is not a valid value here"
        return Diagnostic(code="wrong-value", message=message, location=location, hint=hint * (pattern == URL_PATTERN))
    message = f"`{short(text)}` is not a valid name here"
    return Diagnostic(code="bad-name", message=message, location=location, hint=f"use {rule}")


def _name(pointer: Pointer) -> str:
    """The way to a value in the words of the file: `steps.collect.place`."""
    return "`" + short(".".join(map(str, pointer)), 120) + "`" if pointer else ""
