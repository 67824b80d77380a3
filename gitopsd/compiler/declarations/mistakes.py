"""How many mistakes of one kind in one file are told: more than can be read help nobody, and cost time and memory."""

from collections.abc import Iterable
from itertools import islice

from gitopsd.model.diagnostic import Diagnostic

MAX_MISTAKES = 100


def first_mistakes(diagnostics: Iterable[Diagnostic], room: int = MAX_MISTAKES) -> list[Diagnostic]:
    """The first ones, and where there are more a last one that says so; no more of them are made than that.

    `room` is less where some of the same file have been told.
    """
    found = list(islice(diagnostics, room + 1))
    if len(found) > room:
        found[room:] = [
            Diagnostic(
                code="more-mistakes",
                message=f"there are more mistakes in this file; the first {MAX_MISTAKES} are shown",
                location=found[room].location,
                hint="mend those first: others may go with them",
            )
        ]
    return found
