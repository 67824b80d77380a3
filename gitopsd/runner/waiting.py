from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gitopsd.runner.flow import Away

if TYPE_CHECKING:
    from gitopsd.runner.report import Reporter

LONGEST_MESSAGE = 300


class Waiting:
    """What an end of a channel waits for: told in the log, and to whoever asks, until it works again."""

    def __init__(self, reporter: Reporter, about: str, works_again: str) -> None:
        """`about` is what it is kept apart by in the log; `works_again` what that says in the end, as `it answers`."""
        self._reporter = reporter
        self._about = about
        self._works_again = works_again
        self._messages: dict[str, str] = {}
        self._since = 0.0
        self._was_said = False

    def begin(self, message: str, doing: str = "", *, seconds: float = 0.0) -> None:
        """Something didn't work, or still doesn't, `seconds` after it was first tried.

        Several things may be tried side by side: what is `doing`, of a small, fixed set, tells them apart.
        """
        if not self._messages:
            self._since = _now() - seconds
        self._messages[doing] = message
        if self._reporter.say_rarely(f"{self._about} {doing}", message):
            self._was_said = True

    def end(self, doing: str = "") -> None:
        """It works. The log says so once, if it said that it didn't."""
        if self._messages.pop(doing, None) is None or self._messages:
            return
        if self._was_said:
            self._reporter.say(f"{self._works_again} after {_now() - self._since:.0f} s")
        self._was_said = False

    def away(self) -> Away | None:
        """What the log says, on one line and cut; None while everything works."""
        if not self._messages:
            return None
        return Away(one_line(next(iter(self._messages.values()))), _now() - self._since)


def one_line(message: str) -> str:
    """A message as it may be shown and sent: it has words of whoever is at the other end."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message)
    return plain if len(plain) <= LONGEST_MESSAGE else plain[: LONGEST_MESSAGE - 1] + "…"


def _now() -> float:
    return asyncio.get_running_loop().time()
