"""How the text of a file changes, as people read it."""

import difflib

_MOST_LINES = 20_000
"""On either side of what differs; difflib takes quadratic time in the worst case."""


def text_diff(path: str, before: bytes, after: bytes) -> str:
    """A unified diff; a file that isn't text, or is too long to compare, is only said to differ."""
    try:
        old, new = before.decode("utf-8").splitlines(keepends=True), after.decode("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError:
        return "the file is not text, so its difference isn't shown\n"
    if len(old) > _MOST_LINES or len(new) > _MOST_LINES:
        return f"the file is too long to compare: {len(old):,} lines before, {len(new):,} after\n"
    names = (f"a/{path}", f"b/{path}")
    if old and new:
        lines = difflib.unified_diff(old, new, *names, n=3)
        return "".join(map(_whole_line, lines))
    sign, text = ("+", new) if new else ("-", old)
    spans = f"@@ -{'0,0' if new else _span(old)} +{_span(new) if new else '0,0'} @@\n"
    header = [f"--- {names[0]}\n", f"+++ {names[1]}\n", spans] if text else []
    return "".join([*header, *(sign + _whole_line(line) for line in text)])


def _whole_line(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"


def _span(lines: list[str]) -> str:
    return "1" if len(lines) == 1 else f"1,{len(lines)}"
