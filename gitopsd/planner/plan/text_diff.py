"""How the text of a file changes, as people read it."""

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile

_MOST_PAIRS = 4_000_000
"""Of lines before and lines after that may be compared; difflib takes quadratic time in the worst case."""
_AROUND = 3
_SPANS = re.compile(r"(?<=[-+])[0-9]+")
"""Where each of the two spans in the header of a part begins."""


def text_diff(path: str, before: bytes, after: bytes) -> str:
    """A unified diff; a file that isn't text, or is too long to compare, is only said to differ."""
    try:
        parts = _parts(before, after)
    except UnicodeDecodeError:
        return "the file is not text, so its difference isn't shown\n"
    name = path.lstrip("/")  # of a unit: as Git would have it
    return f"--- a/{name}\n+++ b/{name}\n{parts}" if parts.startswith("@@") else parts


@lru_cache(maxsize=8)  # the replicas of a step change alike
def _parts(before: bytes, after: bytes) -> str:
    """What comes below the names of a unified diff, or why there is none. Raises UnicodeDecodeError."""
    old, new = before.decode("utf-8").splitlines(keepends=True), after.decode("utf-8").splitlines(keepends=True)
    if old and new:
        return "".join(map(_whole_line, _compared(old, new)))
    sign, text = ("+", new) if new else ("-", old)
    spans = f"@@ -{'0,0' if new else _span(old)} +{_span(new) if new else '0,0'} @@\n"
    return "".join([spans, *(sign + _whole_line(line) for line in text)]) if text else ""


def _compared(old: list[str], new: list[str]) -> Iterator[str]:
    start, end = 0, 0
    if len(old) * len(new) > _MOST_PAIRS:  # only then: what difflib makes of the whole can read better
        start = max(0, _alike(old, new) - _AROUND)
        end = max(0, _alike(old[start:][::-1], new[start:][::-1]) - _AROUND)
    some_old, some_new = old[start : len(old) - end], new[start : len(new) - end]
    if len(some_old) * len(some_new) > _MOST_PAIRS:
        yield (
            f"the file is too long to compare: {len(old):,} lines before, {len(new):,} after, and where they differ "
            f"{len(some_old):,} stand against {len(some_new):,}\n"
        )
        return
    _, _, *lines = difflib.unified_diff(some_old, some_new, n=_AROUND) if some_old != some_new else ("", "")
    for line in lines:
        yield _SPANS.sub(lambda found: str(int(found[0]) + start), line) if line.startswith("@@") else line


def _alike(one: list[str], other: list[str]) -> int:
    """How many lines at the beginning are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _whole_line(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"


def _span(lines: list[str]) -> str:
    return "1" if len(lines) == 1 else f"1,{len(lines)}"
