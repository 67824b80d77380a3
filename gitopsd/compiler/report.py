"""What the passes found so far: the next one runs only when there was no error."""

from dataclasses import dataclass, field
from typing import TypeVar

from gitopsd.model.diagnostic import Diagnostic, has_errors, in_order

T = TypeVar("T")


@dataclass(slots=True)
class Report:
    found: list[Diagnostic] = field(default_factory=list)

    def take(self, result: tuple[T, list[Diagnostic]]) -> T:
        """The pass's value, its diagnostics noted; raises Stop when one of them is an error."""
        value, diagnostics = result
        self.found += diagnostics
        if has_errors(tuple(diagnostics)):
            raise Stop
        return value

    def ordered(self) -> tuple[Diagnostic, ...]:
        return in_order(self.found)


class Stop(Exception):  # noqa: N818 - not an error: the end of a pipeline
    """A pass found an error, so the next one doesn't run."""
