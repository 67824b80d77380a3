"""Checks a document against its declaration: every mistake at once, each at its place.

msgspec decodes the valid document; only a document that it refuses is gone through again by the JSON Schema that
msgspec derives from the same declaration, since msgspec stops at the first mistake.
"""

from functools import cache
from typing import Any, TypeVar, cast

import jsonschema_rs
import msgspec

from gitopsd.compiler.yaml_reader import Document, Pointer
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.names import PATTERN_RULES, did_you_mean

T = TypeVar("T")

_Kind = jsonschema_rs.ValidationErrorKind

_TYPE_WORDS = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def decode(document: Document, declaration: type[T]) -> tuple[T | None, list[Diagnostic]]:
    """The declared value, or None with every reason why the document isn't one."""
    if not isinstance(document.value, dict):
        found = "it is empty" if document.value is None else f"it is {_word_for(document.value)}"
        return None, [
            Diagnostic(
                code="wrong-type",
                message=f"the file must hold a mapping, but {found}",
                location=document.locate(),
                hint=f"start it with `{_first_key(declaration)}:`",
            )
        ]
    try:
        return msgspec.convert(document.value, declaration), []
    except msgspec.ValidationError as refusal:
        diagnostics = _explain(document, _schema(cast("Any", declaration)), document.value, ())
        if not diagnostics:
            diagnostics = [Diagnostic(code="wrong-type", message=str(refusal), location=document.locate())]
        return None, diagnostics


@cache
def _schema(declaration: Any) -> dict[str, Any]:
    return msgspec.json.schema(declaration)


def _first_key(declaration: Any) -> str:
    properties = _resolve(_schema(declaration), _schema(declaration))["properties"]
    return str(next(iter(properties)))


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return root["$defs"][reference.removeprefix("#/$defs/")] if reference else schema


@cache
def _validator(declaration_key: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(msgspec.json.decode(declaration_key))


def _explain(document: Document, schema: dict[str, Any], value: Any, at: Pointer) -> list[Diagnostic]:
    validator = _validator(msgspec.json.encode(schema).decode())
    diagnostics: list[Diagnostic] = []
    for error in validator.iter_errors(value):
        diagnostics += _diagnose(document, schema, error, at)
    return diagnostics


def _diagnose(
    document: Document, schema: dict[str, Any], error: jsonschema_rs.ValidationError, at: Pointer
) -> list[Diagnostic]:
    pointer: Pointer = (*at, *error.instance_path)
    here = document.locate(*pointer)
    name = _name_of(pointer)
    match error.kind:
        case _Kind.AdditionalProperties(unexpected=unexpected):
            known = _known_keys(schema, error.instance_path)
            return [
                Diagnostic(
                    code="unknown-key",
                    message=f"unknown key `{key}`" + (f" in {name}" if name else ""),
                    location=document.locate_key(*pointer, key),
                    hint=did_you_mean(key, known),
                )
                for key in unexpected
            ]
        case _Kind.Required(property=missing):
            return [
                Diagnostic(
                    code="missing-key",
                    message=f"{name or 'the file'} needs the key `{missing}`",
                    location=document.locate_key(*pointer),
                    hint=f"add `{missing}:`",
                )
            ]
        case _Kind.Type(types=types):
            wanted = " or ".join(_TYPE_WORDS.get(word, word) for word in types)
            return [_wrong_type(f"{name} must be {wanted}, not {_word_for(error.instance)}", here)]
        case _Kind.PropertyNames(error=inner):
            key = str(inner.instance)
            return [_bad_name(key, inner, document.locate_key(*pointer, key))]
        case _Kind.Pattern():
            return [_bad_name(str(error.instance), error, here)]
        case _Kind.Enum(options=options):
            hint = did_you_mean(str(error.instance), [str(option) for option in options])
            return [
                Diagnostic(
                    code="wrong-value", message=f"{name} can't be `{_short(error.instance)}`", location=here, hint=hint
                )
            ]
        case _Kind.AnyOf(context=branches):
            return _explain_alternatives(document, schema, error, branches, pointer, at)
        case _:
            return [
                Diagnostic(
                    code="wrong-value",
                    message=f"{name}: {_short(error.message, 300)}" if name else _short(error.message, 300),
                    location=here,
                )
            ]


def _explain_alternatives(  # noqa: PLR0917 - the pieces of one error
    document: Document,
    schema: dict[str, Any],
    error: jsonschema_rs.ValidationError,
    branches: list[list[jsonschema_rs.ValidationError]],
    pointer: Pointer,
    at: Pointer,
) -> list[Diagnostic]:
    """Of several alternatives, speaks of the one that the author meant: by its tag, else by its type."""
    alternatives = _schema_at(schema, error.instance_path)
    tag_key = alternatives.get("discriminator", {}).get("propertyName")
    value: Any = error.instance
    if tag_key and isinstance(value, dict):
        mapping: dict[str, str] = alternatives["discriminator"]["mapping"]
        tag: Any = value.get(tag_key)
        if tag is None:
            message = f"{_name_of(pointer)} needs the key `{tag_key}`"
            hint = "one of " + ", ".join(f"`{known}`" for known in mapping)
            return [
                Diagnostic(code="missing-key", message=message, location=document.locate_key(*pointer), hint=hint)
            ]
        if tag not in mapping:
            return [
                Diagnostic(
                    code="wrong-value",
                    message=f"`{tag_key}` can't be `{_short(tag)}`",
                    location=document.locate(*pointer, tag_key),
                    hint=did_you_mean(str(tag), mapping),
                )
            ]
        return _explain(document, {"$ref": mapping[tag], "$defs": schema["$defs"]}, value, pointer)
    deeper = [branch for branch in branches if all(list(inner.instance_path) for inner in branch)]
    not_type = [branch for branch in branches if not any(isinstance(inner.kind, _Kind.Type) for inner in branch)]
    for branch in deeper + not_type:
        return [found for inner in branch for found in _diagnose(document, schema, inner, at)]
    wanted = [word for branch in branches for inner in branch if isinstance(inner.kind, _Kind.Type)
              for word in inner.kind.types]  # fmt: skip
    words = " or ".join(dict.fromkeys(_TYPE_WORDS.get(word, word) for word in wanted))
    return [_wrong_type(f"{_name_of(pointer)} must be {words}, not {_word_for(value)}", document.locate(*pointer))]


def _schema_at(schema: dict[str, Any], way: list[str | int]) -> dict[str, Any]:
    """The part of the schema that speaks of the value at `way`; empty where alternatives leave it open."""
    node = _resolve(schema, schema)
    for part in way:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        node = _resolve(node, schema) if isinstance(node, dict) else {}
    return node


def _known_keys(schema: dict[str, Any], way: list[str | int]) -> list[str]:
    return list(_schema_at(schema, way).get("properties", {}))


def _wrong_type(message: str, location: Any) -> Diagnostic:
    return Diagnostic(code="wrong-type", message=message.strip(), location=location)


def _bad_name(text: str, error: jsonschema_rs.ValidationError, location: Any) -> Diagnostic:
    pattern = error.kind.pattern if isinstance(error.kind, _Kind.Pattern) else ""
    rule = PATTERN_RULES.get(pattern)
    return Diagnostic(
        code="bad-name" if rule else "wrong-value",
        message=f"`{_short(text)}` is not a valid name here" if rule else f"`{_short(text)}` doesn't fit `{pattern}`",
        location=location,
        hint=f"use {rule}" if rule else "",
    )


def _name_of(pointer: Pointer) -> str:
    """The way to a value in the words of the file: `steps.collect.place`."""
    return "`" + ".".join(str(part) for part in pointer) + "`" if pointer else ""


def _word_for(value: Any) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text `{_short(value)}`"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "nothing"


def _short(value: Any, limit: int = 60) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
