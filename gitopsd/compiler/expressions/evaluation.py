"""Evaluates what Jinja2 parsed, step by step: what isn't listed here doesn't run."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from gitopsd.compiler.expressions.filters import FILTERS, TESTS, TEXT_METHODS
from gitopsd.compiler.expressions.operators import add, calculate, compare, concatenate, is_number, kind_of
from gitopsd.compiler.expressions.values import Absent, Budget, ExpressionError, unknown_entry


class _Missing:
    """The outcome of a look-up that found nothing: only `default`, `defined` and `undefined` can use it."""

    __slots__ = ("error",)

    def __init__(self, error: ExpressionError) -> None:
        self.error = error


class _Method:
    """A method of a text that is about to be called."""

    __slots__ = ("name", "text")

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name


_SIGNS: Mapping[type[nodes.BinExpr], str] = {
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
}


class Evaluation:
    """One run of an expression. `lineno` of a node is the offset of its first token; `token_length` knows the rest."""

    def __init__(
        self, scope: Mapping[str, Any], budget: Budget, source: str, token_length: Callable[[str, int], int]
    ) -> None:
        self._source = source
        self._token_length = token_length
        self._scope = scope
        self._budget = budget

    def value(self, node: nodes.Node) -> Any:
        """Raises ExpressionError."""
        result = self._result(node)
        if isinstance(result, _Missing):
            raise result.error
        if isinstance(result, _Method):
            raise ExpressionError(f"`{result.name}` is a method of text: write `{result.name}()`")
        return result

    def _result(self, node: nodes.Node) -> Any:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of node
        self._budget.work(1)
        match node:
            case nodes.Const():
                return node.value
            case nodes.Name():
                return self._scope[node.name]
            case nodes.Getattr():
                return self._attribute(node)
            case nodes.Getitem():
                return self._item(node)
            case nodes.List() | nodes.Tuple():
                return [self.value(item) for item in node.items]
            case nodes.Dict():
                return {self._key(pair.key): self.value(pair.value) for pair in node.items}
            case nodes.CondExpr():
                return self._conditional(node)
            case nodes.Concat():
                return concatenate(self._budget, [self.value(item) for item in node.nodes])
            case nodes.And():
                return self.value(node.left) and self.value(node.right)
            case nodes.Or():
                return self.value(node.left) or self.value(node.right)
            case nodes.Not():
                return not self.value(node.node)
            case nodes.Neg() | nodes.Pos():
                return self._signed(node)
            case nodes.Add():
                return add(self._budget, self.value(node.left), self.value(node.right))
            case nodes.BinExpr() if type(node) in _SIGNS:
                return calculate(_SIGNS[type(node)], self.value(node.left), self.value(node.right))
            case nodes.Compare():
                return self._comparison(node)
            case nodes.Filter():
                return self._filtered(node)
            case nodes.Test():
                return self._tested(node)
            case nodes.Call():
                return self._called(node)
            case _:
                raise ExpressionError("an expression can't hold this")

    def _attribute(self, node: nodes.Getattr) -> Any:
        value, name = self.value(node.node), node.attr
        if isinstance(value, Mapping) and name in value:
            return value[name]
        if isinstance(value, str) and name in TEXT_METHODS:
            return _Method(value, name)
        start = self._source.find(name, node.lineno)
        return _Missing(unknown_entry(value, name, start, start + len(name)))

    def _item(self, node: nodes.Getitem) -> Any:
        value = self.value(node.node)
        if isinstance(node.arg, nodes.Slice):
            return self._slice(value, node.arg)
        key = self.value(node.arg)
        if isinstance(value, Mapping) and isinstance(key, str) and key in value:
            return value[key]
        if isinstance(value, str | list | tuple) and isinstance(key, int) and -len(value) <= key < len(value):
            return value[key]
        start = node.arg.lineno
        end = start + self._token_length(self._source, start) if isinstance(node.arg, nodes.Const) else start
        if isinstance(value, str | list | tuple):
            at = f"at {key}" if isinstance(key, int) else f"for {kind_of(key)}"
            message = f"there is nothing {at} in {kind_of(value)} of {len(value)}"
            return _Missing(ExpressionError(message, start=start, end=end))
        name = str(key) if isinstance(key, str | int | float) else kind_of(key)
        return _Missing(unknown_entry(value, name, start, end))

    def _slice(self, value: Any, node: nodes.Slice) -> Any:
        bounds = [None if part is None else self.value(part) for part in (node.start, node.stop, node.step)]
        if not isinstance(value, str | list | tuple):
            raise ExpressionError(f"{kind_of(value)} has no parts from one number to another")
        if not all(bound is None or isinstance(bound, int) for bound in bounds) or bounds[2] == 0:
            raise ExpressionError("the bounds of a part are whole numbers, and its step is not zero")
        cut = slice(*bounds)
        self._budget.make(len(range(*cut.indices(len(value)))))
        return value[cut]

    def _key(self, node: nodes.Node) -> Any:
        key = self.value(node)
        if not isinstance(key, str | int | float | None):
            raise ExpressionError(f"the key of a mapping can't be {kind_of(key)}")
        return key

    def _conditional(self, node: nodes.CondExpr) -> Any:
        if self.value(node.test):
            return self.value(node.expr1)
        if node.expr2 is None:
            raise ExpressionError("the condition doesn't hold, and there is no `else`")
        return self.value(node.expr2)

    def _signed(self, node: nodes.UnaryExpr) -> Any:
        value = self.value(node.node)
        if not is_number(value):
            raise ExpressionError(f"a sign is for numbers, not {kind_of(value)}")
        return -value if isinstance(node, nodes.Neg) else value

    def _comparison(self, node: nodes.Compare) -> bool:
        left = self.value(node.expr)
        for operand in node.ops:
            right = self.value(operand.expr)
            if not compare(self._budget, operand.op, left, right):
                return False
            left = right
        return True

    def _filtered(self, node: nodes.Filter) -> Any:
        if node.node is None:
            raise ExpressionError("a filter needs something to the left of its `|`")
        if node.name == "default":
            return self._default(node)
        try:
            return self._call(FILTERS[node.name], node, self.value(node.node), node.name)
        except Absent as error:
            return _Missing(error)

    def _default(self, node: nodes.Filter) -> Any:
        value = self._result(node.node) if node.node is not None else None
        if len(node.args) not in (1, 2) or node.kwargs:
            raise ExpressionError("`default` takes a value, and `true` to replace what is empty as well")
        replaced = isinstance(value, _Missing)
        if not replaced and len(node.args) == 2 and self.value(node.args[1]):
            replaced = not value
        return self.value(node.args[0]) if replaced else value

    def _tested(self, node: nodes.Test) -> bool:
        if node.args or node.kwargs:
            raise ExpressionError(f"`is {node.name}` takes no arguments")
        if node.name in {"defined", "undefined"}:
            return isinstance(self._result(node.node), _Missing) == (node.name == "undefined")
        return TESTS[node.name](self.value(node.node))

    def _called(self, node: nodes.Call) -> Any:
        method = self._result(node.node)
        if isinstance(method, _Missing):
            raise method.error
        if not isinstance(method, _Method):
            raise ExpressionError(f"{kind_of(method)} can't be called")
        return self._call(TEXT_METHODS[method.name], node, method.text, method.name)

    def _call(self, operation: Any, node: nodes.Call | nodes.Filter, value: Any, name: str) -> Any:
        arguments = [self.value(argument) for argument in node.args]
        named: dict[str, Any] = {str(keyword.key): self.value(keyword.value) for keyword in node.kwargs}
        try:
            return operation(self._budget, value, *arguments, **named)
        except TypeError as error:
            raise ExpressionError(f"these are not the arguments of `{name}`") from error
