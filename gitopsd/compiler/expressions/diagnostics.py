"""Errors of expressions as diagnostics that point into the expression."""

from gitopsd.compiler.expressions.values import ExpressionError
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.diagnostic import Diagnostic


def expression_diagnostic(error: ExpressionError, document: Document, pointer: Pointer, prefix: str = "") -> Diagnostic:
    """`pointer` leads to the value that was evaluated; `prefix` goes before the message, such as "`glob`: "."""
    return Diagnostic(
        code="bad-expression",
        message=f"{prefix}{error.message}",
        location=document.locate_within((*pointer, *error.at), error.start, error.end),
        hint=error.hint,
    )
