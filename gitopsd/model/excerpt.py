"""Diagnostics as text: the message, the line it is about, a caret, the hint."""

from collections.abc import Mapping, Sequence

from gitopsd.model.diagnostic import Diagnostic, Location

_WIDEST_LINE = 160


def format_diagnostic(diagnostic: Diagnostic, sources: Mapping[str, bytes]) -> str:
    """Several lines of text, in the manner of a compiler.

    `sources` holds the files by path; a file that isn't there is named without an excerpt.
    """
    lines = [f"{diagnostic.severity.value}[{diagnostic.code}]: {printable(diagnostic.message)}"]
    lines += _excerpt(diagnostic.location, sources, arrow="-->")
    for related in diagnostic.related:
        lines.append(f"  note: {printable(related.message)}")
        lines += _excerpt(related.location, sources, arrow="-->")
    if diagnostic.hint:
        lines.append(f"  hint: {printable(diagnostic.hint)}")
    return "\n".join(lines)


def format_diagnostics(diagnostics: Sequence[Diagnostic], sources: Mapping[str, bytes]) -> str:
    """All of them, a blank line apart; empty when there are none."""
    return "\n\n".join(format_diagnostic(diagnostic, sources) for diagnostic in diagnostics)


def printable(text: str) -> str:
    """Text from a repository made safe for a terminal: control characters are escaped, newlines kept out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _excerpt(location: Location, sources: Mapping[str, bytes], arrow: str) -> list[str]:
    lines = [f"  {arrow} {printable(str(location))}"]
    source_line = _source_line(sources.get(location.path), location.line)
    if source_line is None:
        return lines
    number = str(location.line)
    same_line = location.end_line == location.line
    width = max(1, (location.end_column if same_line else len(source_line) + 1) - location.column)
    start = min(location.column - 1, _WIDEST_LINE)
    width = min(width, _WIDEST_LINE - start) or 1
    gutter = " " * len(number)
    return [
        *lines,
        f"  {gutter} |",
        f"  {number} | {printable(source_line[:_WIDEST_LINE])}",
        f"  {gutter} | {' ' * start}{'^' * width}",
    ]


def _source_line(source: bytes | None, line: int) -> str | None:
    if source is None:
        return None
    lines = source.decode("utf-8", "replace").splitlines()
    return lines[line - 1].replace("\t", " ") if 0 < line <= len(lines) else None
