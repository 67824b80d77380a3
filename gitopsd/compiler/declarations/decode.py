"""Checks a document against its declaration.

msgspec decodes the valid document; only a document that it refuses is gone through again by `explain`, since msgspec
stops at the first mistake.
"""

from typing import TypeVar

import msgspec

from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.diagnostic import Diagnostic

T = TypeVar("T")


def decode(document: Document, declaration: type[T]) -> tuple[T | None, list[Diagnostic]]:
    """The declared value, or None with every reason why the document isn't one."""
    try:
        return msgspec.convert(document.value, declaration), []
    except msgspec.ValidationError as refusal:
        from gitopsd.compiler.declarations.explain import explain  # noqa: PLC0415 - only when something is wrong

        return None, explain(document, declaration, refusal)
