"""JSON Schemas of declarations, for editors: the keys, types and names that decoding asks for, with what each means."""

import inspect
from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_NO_KEYS: tuple[str, list[str]] = ("required", [])


def schema_of(kind: str, declaration: type[msgspec.Struct]) -> Schema:
    """The schema of one kind of file. What only the compiler can judge, such as names of channels, it lets pass."""
    generated = msgspec.json.schema(declaration)
    parts: Schema = generated["$defs"]
    for known in _declarations(declaration):
        part = parts.get(known.__name__, {})
        if known.__doc__ and "description" not in part:
            part["description"] = inspect.cleandoc(known.__doc__)
    root = parts.pop(declaration.__name__)
    head = {"$schema": DIALECT, "$id": f"urn:gitopsd:schema:{kind}", "title": f"gitopsd: {kind}"}
    return {**head, **_plain(dict(root, title=head["title"])), "$defs": _plain(parts)}


def _declarations(declaration: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The declaration and all that it is made of."""
    found: list[type[msgspec.Struct]] = []
    waiting: list[Any] = [msgspec.inspect.type_info(declaration)]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, msgspec.inspect.StructType) and kind.cls not in found:
            found.append(kind.cls)
            waiting += [field.type for field in kind.fields]
        waiting += getattr(kind, "types", ())
        parts = ("type", "item_type", "key_type", "value_type")
        waiting += [getattr(kind, part) for part in parts if hasattr(kind, part)]
    return found


def _plain(schema: Any) -> Any:
    """In JSON Schema's own words: OpenAPI's `discriminator` becomes the tags that there are."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "discriminator" and (key, value) != _NO_KEYS}
    discriminator = schema.get("discriminator", {})
    if "mapping" in discriminator:
        key, tags = discriminator["propertyName"], sorted(discriminator["mapping"])
        plain |= {"type": "object", "properties": {key: {"enum": tags}}, "required": [key]}
    return plain
