"""Diagnostics as text: the message, the line it is about, a caret, the hint."""

import re
from collections.abc import Mapping, Sequence

from gitopsd.model.diagnostic import Diagnostic, Location

_WIDEST_LINE = 160
_BEFORE_CARET = 60
"""So many characters of a line that is too wide are shown before the caret."""

_CI_COMMAND = re.compile(r"^\s*::|##\[")

Sources = Mapping[str, bytes]


def format_diagnostic(diagnostic: Diagnostic, sources: Sources) -> str:
    """Several lines of text, in the manner of a compiler.

    `sources` holds the files by path; a file that isn't there is named without an excerpt.
    """
    return _format(diagnostic, _Lines(sources))


def format_diagnostics(diagnostics: Sequence[Diagnostic], sources: Sources) -> str:
    """All of them, a blank line apart; empty when there are none."""
    lines = _Lines(sources)
    return "\n\n".join(_format(diagnostic, lines) for diagnostic in diagnostics)


def printable(text: str) -> str:
    """Text from a repository made safe for a terminal: control characters are escaped, newlines kept out.

    So is what a CI service would take for a command of its own: `::` that begins a line, and `##[`.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if "::" in text or "##[" in text:
        text = _CI_COMMAND.sub(lambda found: found[0].replace("::", r"\x3a:").replace("##[", r"##\x5b"), text)
    return text


class _Lines:
    """The lines of files, each file split once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._split: dict[str, list[str]] = {}

    def line(self, path: str, number: int) -> str | None:
        if path not in self._sources:
            return None
        if path not in self._split:
            # lines end where YAML ends them; str.splitlines knows other ends too
            text = self._sources[path].decode("utf-8", "replace").removeprefix("\ufeff")
            self._split[path] = re.split("\r\n|\r|\n", text)
        lines = self._split[path]
        return lines[number - 1].replace("\t", " ") if 0 < number <= len(lines) else None


def _format(diagnostic: Diagnostic, sources: _Lines) -> str:
    lines = [f"{diagnostic.severity.value}[{diagnostic.code}]: {printable(diagnostic.message)}"]
    lines += _excerpt(diagnostic.location, sources)
    for related in diagnostic.related:
        lines.append(f"  note: {printable(related.message)}")
        lines += _excerpt(related.location, sources)
    if diagnostic.hint:
        lines.append(f"  hint: {printable(diagnostic.hint)}")
    return "\n".join(lines)


def _excerpt(location: Location, sources: _Lines) -> list[str]:
    lines = [f"  --> {printable(str(location))}"]
    source_line = sources.line(location.path, location.line)
    if not source_line:
        return lines
    number = str(location.line)
    start = location.column - 1
    end = location.end_column - 1 if location.end_line == location.line else len(source_line)
    cut, cut_mark = 0, ""
    if start > _WIDEST_LINE - _BEFORE_CARET:
        cut, cut_mark = start - _BEFORE_CARET, "…"
    shown = source_line[cut : cut + _WIDEST_LINE]
    before = cut_mark + printable(shown[: start - cut])
    marked = printable(shown[start - cut : end - cut])
    gutter = " " * len(number)
    return [
        *lines,
        f"  {gutter} |",
        f"  {number} | {before}{printable(shown[start - cut :])}".rstrip(),
        f"  {gutter} | {' ' * len(before)}{'^' * max(1, len(marked))}",
    ]
