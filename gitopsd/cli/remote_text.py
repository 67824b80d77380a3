"""Text that a hook says, as Git shows it to whoever pushes: each line after `remote: `, in a terminal of any width."""

import re
import sys
import textwrap
from collections.abc import Iterable

from gitopsd.model.excerpt import printable

WIDTH = 80 - len("remote: ") - 1
"""What fits into 80 columns; the last one stays free, since Git clears the rest of each line."""

_LONGEST_LINE = 2_000

_AS_IT_IS = re.compile(r"\s*\d* \||\s{6}([-+ ]|@@)")
"""Lines that must not be broken: those of excerpts and logs, and of diffs."""


def fitted(line: str) -> list[str]:
    """One line of text as lines that fit, those that follow indented a little more; none acts on a terminal."""
    line = printable(line)
    if len(line) > _LONGEST_LINE:
        line = line[: _LONGEST_LINE - 1] + "…"
    if len(line) <= WIDTH or _AS_IT_IS.match(line):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


class RemoteText:
    """Writes lines as they come. Whoever pushed may have gone: what is judged is judged all the same."""

    def __init__(self) -> None:
        self._heard = True

    def say(self, text: str) -> None:
        self.say_all(text.split("\n"))

    def say_all(self, lines: Iterable[str]) -> None:
        """All of them in one piece."""
        text = "".join(f"{part}\n" for line in lines for part in fitted(line))
        if not self._heard:
            return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except BrokenPipeError:
            self._heard = False

    def say_at_most(self, most: int, lines: list[str], rest: str) -> None:
        """The first `most` lines; of more than those it says how many, and `rest`: how to see them."""
        shown = lines if len(lines) <= most + 1 else lines[:most]
        more = len(lines) - len(shown)
        self.say_all([*shown, *([f"… {more} more lines: {rest}"] if more else [])])
