"""What msgspec knows of a declaration, in the words that the reference pages use for it."""

import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET, inspect

from gitopsd.model.names import CHANNEL_PATTERN, NAME_PATTERN, PARAMETER_PATTERN

_PATTERNS = {NAME_PATTERN: "name", CHANNEL_PATTERN: "channel name", PARAMETER_PATTERN: "parameter name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`default` is `required`, `none` where the key may be missing without a value taking its place, or JSON."""

    type: str
    default: str


def keys(declaration: type[msgspec.Struct]) -> dict[str, Key]:
    """Every key as it is written in the file, the tag of a kind among them."""
    info = inspect.type_info(declaration)
    assert isinstance(info, inspect.StructType)
    tag = {info.tag_field: Key(type=f"`{info.tag}`", default="required")} if info.tag_field else {}
    return tag | {
        field.encode_name: Key(type=words(field.type), default=_default(field)) for field in info.fields
    }  # fmt: skip


def words(kind: inspect.Type) -> str:  # noqa: PLR0911 - one line for each kind of type
    """The type in words; a mapping with keys of its own is named as its section is, in italics."""
    match kind:
        case inspect.Metadata():
            return words(kind.type)
        case inspect.StructType():
            return f"*{name(kind.cls)}*"
        case inspect.UnionType():
            known = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            return " or ".join(words(one) for one in sorted(known, key=lambda one: isinstance(one, inspect.StructType)))
        case inspect.StrType():
            return _PATTERNS.get(kind.pattern or "", "text")
        case inspect.IntType():
            return f"integer{_range(kind)}"
        case inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "boolean"
        case inspect.AnyType():
            return "any value"
        case inspect.LiteralType():
            return " or ".join(f"`{value}`" for value in kind.values)
        case inspect.VarTupleType() | inspect.ListType():
            return f"list of {words(kind.item_type)}"
        case inspect.DictType():
            return f"mapping of {words(kind.key_type)} to {words(kind.value_type)}"
        case _:
            raise AssertionError(f"the reference pages have no word for {kind}")


def name(declaration: type[msgspec.Struct]) -> str:
    """The declaration's name as people write it: `file store channel`."""
    return re.sub(r"(?<!^)([A-Z])", r" \1", declaration.__name__).lower()


def reached_from(declaration: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """The declaration, and all that it is made of."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = [inspect.type_info(declaration)]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, inspect.StructType) and kind.cls not in found:
            found.add(kind.cls)
            waiting += [field.type for field in kind.fields]
        waiting += getattr(kind, "types", ())
        waiting += [
            getattr(kind, part) for part in ("type", "item_type", "key_type", "value_type") if hasattr(kind, part)
        ]
    return found


def _range(kind: inspect.IntType) -> str:
    if kind.ge is None and kind.le is None:
        return ""
    return f", {kind.ge:,} to {kind.le:,}" if kind.le is not None else f", at least {kind.ge:,}"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default_factory() if field.default_factory is not NODEFAULT else field.default
    if value is NODEFAULT or value is UNSET or value is None:
        return "none"
    return f"`{json.dumps(msgspec.to_builtins(value), ensure_ascii=False)}`"
