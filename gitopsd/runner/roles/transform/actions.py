"""What `transform` can do to an event: each action takes the value of an event and returns the next, or DROPPED."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Final, NamedTuple, cast

from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.expressions import Expression, compile_expression, is_false
from gitopsd.runner.roles.transform.json_text import encode
from gitopsd.runner.roles.transform.reasons import REASONS, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitopsd.runner.settings import Settings

DROPPED: Final = object()

Action = Callable[[object], object]


MOST_UNNESTED = 64 * 1024 * 1024
"""Characters that the fields beside a list may come to when they are there once for each of its elements."""

_MANY = 100
"""Fields; what has fewer isn't worth a look."""


class ActionError(Exception):
    """An action can't be done to this event."""


class Several(NamedTuple):
    """Events that came of one; what follows is done to each of them."""

    events: list[object]


def compile_action(action: Settings) -> Action:
    """One entry of `actions` as a function; what can be worked out before the first event is, here.

    Looks at nothing outside, so that planning can ask for it too. Raises JobError.
    """
    names = action.names()
    if len(names) != 1 or names[0] not in _ACTIONS:
        raise JobError(f"{action.where} must be one of {', '.join(ACTIONS)}; correct it in the workflow")
    return _ACTIONS[names[0]](action)


def check_order(actions: list[Settings]) -> None:
    """Raises JobError for a `batch` that isn't the last action."""
    for action in actions[:-1]:
        if "batch" in action.names():
            raise JobError(f"{action.where} is a batch, and actions follow it; make it the last one")


def check_worker(action: Settings) -> None:
    """Raises JobError for what an action needs and this worker doesn't have."""
    if "parse" in action.names() and not action.is_text("parse"):
        from gitopsd.runner.roles.transform.timestamps import load_zone  # noqa: PLC0415

        load_zone(action.section("parse").text("zone", "UTC"))


def fields_set_by(actions: list[Settings]) -> list[str] | None:
    """The fields that these actions set in every event that gets through; None where one does more to events."""
    names: dict[str, None] = {}
    for action in actions:
        (kind,) = action.names()
        if kind == "set":
            names.update(dict.fromkeys(action.section("set").names()))
        elif kind not in ("filter", "sample", "dedupe", "batch") and not (kind == "parse" and action.is_text(kind)):
            return None
    return list(names)


def fields_of(event: object) -> dict[str, object]:
    if type(event) is not dict:
        raise ActionError("the event is not a JSON object")
    return cast("dict[str, object]", event)


def _parse(action: Settings) -> Action:
    from gitopsd.runner.roles.transform.parsing import compile_parse  # noqa: PLC0415 -- only where something is parsed

    return compile_parse(action)


def _filter(action: Settings) -> Action:
    condition = compile_expression(action.text("filter"), action.where)

    def apply(event: object) -> object:
        try:
            value = condition(event)
        except REASONS as error:
            raise ActionError(f"filter: {reason_of(error)}") from error
        return event if value is True or not is_false(value) else DROPPED

    return apply


def _set(action: Settings) -> Action:
    section = action.section("set")
    expressions = [
        (name, compile_expression(section.text(name), f"{section.where}.{name}")) for name in section.names()
    ]
    if len(expressions) == 1:
        return _set_one(*expressions[0])

    def apply(event: object) -> object:
        fields = fields_of(event)
        try:
            return {**fields, **{name: expression(fields) for name, expression in expressions}}
        except REASONS:
            for name, expression in expressions:  # once more, for the name of the one that can't be worked out
                try:
                    expression(fields)
                except REASONS as error:  # noqa: PERF203 - asked once, for an event that failed
                    raise _unset(name, error) from error
            raise

    return apply


def _set_one(name: str, expression: Expression) -> Action:
    def apply(event: object) -> object:
        fields = fields_of(event)
        try:
            return {**fields, name: expression(fields)}
        except REASONS as error:
            raise _unset(name, error) from error

    return apply


def _unset(name: str, error: Exception) -> ActionError:
    return ActionError(f"{name[:100]}: {reason_of(error)}")


def _rename(action: Settings) -> Action:
    section = action.section("rename")
    names = {old: section.text(old) for old in section.names()}

    def apply(event: object) -> object:
        fields = fields_of(event)
        if names.keys().isdisjoint(fields):
            return event
        moved = {new: fields[old] for old, new in names.items() if old in fields}
        return {**{name: value for name, value in fields.items() if name not in names}, **moved}

    return apply


def _remove(action: Settings) -> Action:
    removed = frozenset(action.texts("remove"))

    def apply(event: object) -> object:
        fields = fields_of(event)
        if removed.isdisjoint(fields):
            return event
        return {name: value for name, value in fields.items() if name not in removed}

    return apply


def _flatten(action: Settings) -> Action:
    separator = action.text("flatten")

    def apply(event: object) -> object:
        flat: dict[str, object] = {}
        _put_flat(flat, "", fields_of(event), separator)
        return flat

    return apply


def _put_flat(flat: dict[str, object], prefix: str, fields: dict[str, object], separator: str) -> None:
    for name, value in fields.items():
        path = prefix + name
        if type(value) is dict and value:
            _put_flat(flat, path + separator, value, separator)
        elif path in flat:
            raise ActionError(f"two fields would be called {path[:100]}")
        else:
            flat[path] = value


def _unnest(action: Settings) -> Action:
    name = action.text("unnest")

    def apply(event: object) -> object:
        fields = fields_of(event)
        elements = fields.get(name)
        if type(elements) is not list:
            raise ActionError(f"the field {name[:100]} is not a list")
        others = len(elements) - 1
        if others * len(fields) > _MANY and others * len(encode({**fields, name: None})) > MOST_UNNESTED:
            raise ActionError(f"its other fields, once for each element of {name[:100]}, come to too much")
        return Several([{**fields, name: element} for element in elements])

    return apply


def _sample(action: Settings) -> Action:
    from gitopsd.runner.roles.transform.thinning import compile_sample  # noqa: PLC0415

    return compile_sample(action)


def _dedupe(action: Settings) -> Action:
    from gitopsd.runner.roles.transform.thinning import compile_dedupe  # noqa: PLC0415

    return compile_dedupe(action)


def _batch(action: Settings) -> Action:
    """Batches are put together where events leave, for that is where they are acknowledged: this checks settings."""
    from gitopsd.runner.roles.transform.batching import batch_settings  # noqa: PLC0415

    batch_settings(action)
    return lambda event: event


def _exec(action: Settings) -> Action:
    """A program is asked about all events of a batch at once, between the actions before it and those behind it."""
    from gitopsd.runner.roles.transform.program import exec_settings  # noqa: PLC0415

    exec_settings(action)
    return lambda event: event


_ACTIONS: Mapping[str, Callable[[Settings], Action]] = {
    "parse": _parse,
    "filter": _filter,
    "set": _set,
    "rename": _rename,
    "remove": _remove,
    "flatten": _flatten,
    "unnest": _unnest,
    "sample": _sample,
    "dedupe": _dedupe,
    "batch": _batch,
    "exec": _exec,
}
ACTIONS = tuple(_ACTIONS)
