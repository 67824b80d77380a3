"""How many mistakes of one kind in one file are told: more than can be read help nobody, and cost time and memory."""

from collections.abc import Iterable
from itertools import islice

from gitopsd.model.diagnostic import Diagnostic

MAX_MISTAKES = 100


def first_mistakes(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The first ones, and where there are more a last one that says so; no more of them are made than that."""
    found = list(islice(diagnostics, MAX_MISTAKES + 1))
    if len(found) > MAX_MISTAKES:
        found[MAX_MISTAKES:] = [
            Diagnostic(
                code="more-mistakes",
                message=f"there are more mistakes in this file; the first {MAX_MISTAKES} are shown",
                location=found[MAX_MISTAKES].location,
                hint="mend those first: others may go with them",
            )
        ]
    return found
