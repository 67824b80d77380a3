"""What `transform` can do to an event: each action takes the value of an event and returns the next, or DROPPED."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Final, cast

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from gitopsd.runner.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitopsd.runner.settings import Settings

DROPPED: Final = object()

Action = Callable[[object], object]

REWRITING = ("set", "rename", "remove")


class ActionError(Exception):
    """An action can't be done to this event."""


def compile_action(action: Settings) -> Action:
    """One entry of `actions` as a function; expressions are compiled here, once. Raises JobError."""
    names = action.names()
    if len(names) != 1 or names[0] not in ("parse", "filter", *REWRITING):
        raise JobError(f"{action.where} must be one of parse, filter, set, rename, remove; correct it in the workflow")
    if names[0] == "parse":
        action.choice("parse", ("json",))
        return lambda event: event  # every event is parsed anyway: by itself this sorts out what isn't JSON
    if names[0] == "filter":
        return _filter(_expression(action.text("filter"), action.where))
    if names[0] == "set":
        fields = action.section("set")
        return _set({name: _expression(fields.text(name), f"{fields.where}.{name}") for name in fields.names()})
    if names[0] == "rename":
        renames = action.section("rename")
        return _rename({old: renames.text(old) for old in renames.names()})
    return _remove(action.texts("remove"))


def _expression(text: str, where: str) -> Action:
    try:
        tree = jmespath.compile(text).parsed
    except JMESPathError as error:
        reason = " ".join(str(error).split())
        raise JobError(f"{where} is not a JMESPath expression: {reason}; correct it in the workflow") from error
    unknown = sorted(_functions(tree) - Functions.FUNCTION_TABLE.keys())
    if unknown:
        raise JobError(f"{where} calls {unknown[0]}(), which JMESPath doesn't have; correct it in the workflow")
    visit = TreeInterpreter().visit  # `search` would build an interpreter for every event, at twice the cost
    return lambda event: visit(tree, event)


def _functions(tree: Mapping[str, object]) -> set[str]:
    """The names of all functions that an expression calls."""
    names = {str(tree["value"])} if tree["type"] == "function_expression" else set()
    for child in cast("list[object]", tree["children"]):
        if isinstance(child, dict):
            names |= _functions(child)
    return names


def _filter(condition: Action) -> Action:
    def apply(event: object) -> object:
        value = condition(event)
        # What JMESPath calls false: false, null and everything empty; 0 is true.
        return DROPPED if value is None or value is False or value in ("", [], {}) else event

    return apply


def _set(expressions: dict[str, Action]) -> Action:
    def apply(event: object) -> object:
        fields = _fields(event)
        return {**fields, **{name: expression(fields) for name, expression in expressions.items()}}

    return apply


def _rename(names: dict[str, str]) -> Action:
    def apply(event: object) -> object:
        fields = _fields(event)
        moved = {new: fields[old] for old, new in names.items() if old in fields}
        return {**{name: value for name, value in fields.items() if name not in names}, **moved}

    return apply


def _remove(names: list[str]) -> Action:
    removed = frozenset(names)

    def apply(event: object) -> object:
        return {name: value for name, value in _fields(event).items() if name not in removed}

    return apply


def _fields(event: object) -> dict[str, object]:
    if type(event) is not dict:
        raise ActionError("the event is not a JSON object")
    return cast("dict[str, object]", event)
