"""JMESPath, read once and turned into Python functions: about four times as fast as jmespath's own interpreter.

What each function gives is what `jmespath.search` gives, mistakes included; a test compares them over random
expressions and events. No code is generated: a tree becomes a tree of closures, and the shapes that people write most
(a field, a path, a comparison with a literal) become a single one. Only functions that take `&expression` are left to
the interpreter, for they see their tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, cast

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import REVERSE_TYPES_MAP, Functions
from jmespath.visitor import TreeInterpreter

from gitopsd.runner.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping

Expression = Callable[[object], object]

_Node = Any
"""A node as jmespath parses it: `type`, `children`, and of some `value`."""

_COMPARABLE = frozenset({int, float, str})
_EQUAL: Callable[[object, object], object] = TreeInterpreter.COMPARATOR_FUNC["eq"]
_FUNCTIONS = Functions()


def compile_expression(text: str, where: str) -> Expression:
    """A function from an event to what `text` comes to; it raises ValueError and what leaks out of JMESPath's own.

    Raises JobError, naming `where`, for what isn't JMESPath.
    """
    try:
        tree = jmespath.compile(text).parsed
        _check_calls(tree, where)
        return compile_tree(tree)
    except JMESPathError as error:
        reason = " ".join(str(error).split())
        raise JobError(f"{where} is not a JMESPath expression: {reason}; correct it in the workflow") from error
    except RecursionError as error:
        raise JobError(f"{where} is nested too deeply; split it over several actions") from error


def is_false(value: object) -> bool:
    """What JMESPath calls false: false, null and everything empty; 0 is true."""
    return value is None or value is False or value in ("", [], {})


def compile_tree(node: _Node) -> Expression:
    make = _MAKERS.get(node["type"])
    return make(node) if make is not None else _interpreted(node)


def _check_calls(tree: Mapping[str, object], where: str) -> None:
    """Raises JobError for a call that would fail for every event."""
    children = [child for child in cast("list[object]", tree["children"]) if isinstance(child, dict)]
    if tree["type"] == "function_expression":
        name = str(tree["value"])
        if name not in Functions.FUNCTION_TABLE:
            raise JobError(f"{where} calls {name}(), which JMESPath doesn't have; correct it in the workflow")
        signature = Functions.FUNCTION_TABLE[name]["signature"]
        more = bool(signature[-1].get("variadic"))
        if len(children) < len(signature) or (len(children) > len(signature) and not more):
            wanted = f"{len(signature)} or more" if more else f"{len(signature)}"
            raise JobError(f"{where} gives {name}() {len(children)} arguments, and it takes {wanted}; correct it")
    for child in children:
        _check_calls(child, where)


def _interpreted(node: _Node) -> Expression:
    visit = TreeInterpreter().visit  # `search` would build an interpreter for every event, at twice the cost
    return lambda value: visit(node, value)


def _field(node: _Node) -> Expression:
    name = node["value"]
    return lambda value: value.get(name) if type(value) is dict else None


def _chain(node: _Node) -> Expression:
    """Each child is asked of what the one before came to: `a.b`, `a | b`, `a[0]`."""
    names = _names(node)
    if len(names) == 2:
        first, second = names

        def path(value: object) -> object:
            inner = value.get(first) if type(value) is dict else None
            return inner.get(second) if type(inner) is dict else None

        return path
    children = [compile_tree(child) for child in node["children"]]
    if len(children) == 2:
        left, right = children
        return lambda value: right(left(value))

    def chain(value: object) -> object:
        for child in children:
            value = child(value)
        return value

    return chain


def _names(node: _Node) -> list[str]:
    """The names of a chain of fields; [] where there is anything else in it."""
    children = node["children"]
    return [child["value"] for child in children] if all(child["type"] == "field" for child in children) else []


def _comparator(node: _Node) -> Expression:
    operator, (left_node, right_node) = node["value"], node["children"]
    left, right = compile_tree(left_node), compile_tree(right_node)
    if operator in ("eq", "ne"):
        equal = _equals_literal(left, right_node["value"]) if right_node["type"] == "literal" else None
        if equal is None:
            equal = _equals(left, right)
        return equal if operator == "eq" else _opposite(equal)
    compare = TreeInterpreter.COMPARATOR_FUNC[operator]
    if right_node["type"] == "literal" and type(right_node["value"]) in _COMPARABLE:
        literal = right_node["value"]

        def compare_with_literal(value: object) -> object:
            found = left(value)
            return compare(found, literal) if type(found) in _COMPARABLE else None

        return compare_with_literal

    def compare_both(value: object) -> object:
        first, second = left(value), right(value)
        return compare(first, second) if type(first) in _COMPARABLE and type(second) in _COMPARABLE else None

    return compare_both


def _equals(left: Expression, right: Expression) -> Expression:
    def equal(value: object) -> object:
        first, second = left(value), right(value)
        if type(first) is str or type(second) is str:
            return first == second
        return _EQUAL(first, second)  # which keeps 1 from being true

    return equal


def _equals_literal(left: Expression, literal: object) -> Expression | None:
    """Where the literal alone decides how to compare; else None."""
    if type(literal) is str or literal is None:
        return lambda value: left(value) == literal
    if type(literal) is bool:
        return lambda value: left(value) is literal
    return None


def _opposite(expression: Expression) -> Expression:
    return lambda value: not expression(value)


def _not(node: _Node) -> Expression:
    (child,) = [compile_tree(child) for child in node["children"]]

    def negated(value: object) -> bool:
        found = child(value)
        return False if found == 0 and type(found) in (int, float) else not found

    return negated


def _or(node: _Node) -> Expression:
    left, right = [compile_tree(child) for child in node["children"]]

    def either(value: object) -> object:
        found = left(value)
        return right(value) if found is not True and is_false(found) else found

    return either


def _and(node: _Node) -> Expression:
    left, right = [compile_tree(child) for child in node["children"]]

    def both(value: object) -> object:
        found = left(value)
        return right(value) if found is True or not is_false(found) else found

    return both


def _literal(node: _Node) -> Expression:
    literal = node["value"]
    return lambda _value: literal


def _same(_node: _Node) -> Expression:
    return lambda value: value


def _index(node: _Node) -> Expression:
    position = node["value"]

    def index(value: object) -> object:
        if type(value) is not list or not -len(value) <= position < len(value):
            return None
        return value[position]

    return index


def _slice(node: _Node) -> Expression:
    part = slice(*node["children"])
    return lambda value: value[part] if type(value) is list else None


def _select_list(node: _Node) -> Expression:
    children = [compile_tree(child) for child in node["children"]]
    return lambda value: None if value is None else [child(value) for child in children]


def _select_dict(node: _Node) -> Expression:
    children = [(child["value"], compile_tree(child["children"][0])) for child in node["children"]]
    return lambda value: None if value is None else {name: child(value) for name, child in children}


def _projection(node: _Node) -> Expression:
    base, each = [compile_tree(child) for child in node["children"]]

    def project(value: object) -> object:
        found = base(value)
        if type(found) is not list:
            return None
        return [one for element in found if (one := each(element)) is not None]

    return project


def _value_projection(node: _Node) -> Expression:
    base, each = [compile_tree(child) for child in node["children"]]

    def project(value: object) -> object:
        found = base(value)
        if type(found) is not dict:
            return None
        return [one for element in found.values() if (one := each(element)) is not None]

    return project


def _filter_projection(node: _Node) -> Expression:
    base, each, condition = [compile_tree(child) for child in node["children"]]

    def project(value: object) -> object:
        found = base(value)
        if type(found) is not list:
            return None
        kept = [element for element in found if not is_false(condition(element))]
        return [one for element in kept if (one := each(element)) is not None]

    return project


def _flatten(node: _Node) -> Expression:
    (base,) = [compile_tree(child) for child in node["children"]]

    def flatten(value: object) -> object:
        found = base(value)
        if type(found) is not list:
            return None
        merged: list[object] = []
        for element in found:
            if type(element) is list:
                merged.extend(element)
            else:
                merged.append(element)
        return merged

    return flatten


def _function(node: _Node) -> Expression:
    name = node["value"]
    entry = Functions.FUNCTION_TABLE.get(name)
    if entry is None or any(child["type"] == "expref" for child in node["children"]):
        return _interpreted(node)
    arguments = [compile_tree(child) for child in node["children"]]
    call = _FUNCTIONS.call_function
    if len(arguments) == 1 == len(entry["signature"]) and not entry["signature"][0].get("variadic"):
        return _function_of_one(name, arguments[0], entry)
    return lambda value: call(name, [argument(value) for argument in arguments])


def _function_of_one(name: str, argument: Expression, entry: Mapping[str, Any]) -> Expression:
    """The check of types is most of what a call costs: here it is a look into a set."""
    call, function = _FUNCTIONS.call_function, entry["function"]
    types = entry["signature"][0]["types"]
    plain = frozenset(name for kind in types if "-" not in kind for name in REVERSE_TYPES_MAP[kind])

    def function_of_one(value: object) -> object:
        found = argument(value)
        if not types or type(found).__name__ in plain:
            return function(_FUNCTIONS, found)
        return call(name, [found])  # lists of one type, and the message where it is the wrong one

    return function_of_one


_MAKERS: dict[str, Callable[[_Node], Expression]] = {
    "field": _field,
    "subexpression": _chain,
    "pipe": _chain,
    "index_expression": _chain,
    "comparator": _comparator,
    "not_expression": _not,
    "or_expression": _or,
    "and_expression": _and,
    "literal": _literal,
    "current": _same,
    "identity": _same,
    "index": _index,
    "slice": _slice,
    "multi_select_list": _select_list,
    "multi_select_dict": _select_dict,
    "projection": _projection,
    "value_projection": _value_projection,
    "filter_projection": _filter_projection,
    "flatten": _flatten,
    "function_expression": _function,
}
