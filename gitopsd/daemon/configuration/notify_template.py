"""The template of a notification's body, as far as it can be judged before there is one to be told."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UnsetType

from gitopsd.compiler.expressions.texts import expression_mistakes
from gitopsd.compiler.expressions.values import ExpressionError

NAMES = frozenset({"text", "occasion", "environment", "title", "detail", "deployment", "source", "workers"})
"""What a template may use."""


def template_mistakes(template: str | Mapping[str, Any] | UnsetType) -> Iterator[ExpressionError]:
    """What can be told of it beforehand."""
    if not isinstance(template, UnsetType):
        yield from expression_mistakes(template, NAMES)
