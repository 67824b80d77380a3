"""Mistakes of an author, as values: many at once, each with its place and the way out."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Location:
    """A range in a file of the source tree; lines and columns count from 1, the end column is exclusive."""

    path: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Another place that takes part in the mistake, such as the other half of a conflict."""

    message: str
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One mistake. `code` is stable and listed in docs/diagnostics.md."""

    code: str
    message: str
    location: Location
    severity: Severity = Severity.ERROR
    related: tuple[Related, ...] = ()
    hint: str = ""

    @property
    def order(self) -> tuple[Location, str, str]:
        """The order in which diagnostics are reported: by place, then code, then text."""
        return (self.location, self.code, self.message)


def has_errors(diagnostics: tuple[Diagnostic, ...]) -> bool:
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


def in_order(diagnostics: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The same diagnostics without repeats, in reporting order."""
    return tuple(sorted(dict.fromkeys(diagnostics), key=lambda diagnostic: diagnostic.order))
