from __future__ import annotations

import sys
import time
from typing import NamedTuple

QUIET_SECONDS = 30.0


class _Occurrences(NamedTuple):
    since: float
    suppressed: int


class Reporter:
    """Lines for people on stderr, each beginning with the job's name; the service manager keeps them."""

    def __init__(self, job: str) -> None:
        self.job = job
        self._seen: dict[str, _Occurrences] = {}

    def say(self, message: str) -> None:
        sys.stderr.write(f"{self.job}: {message}\n")
        sys.stderr.flush()

    def say_rarely(self, about: str, message: str) -> bool:
        """Say it once in QUIET_SECONDS for each `about` (of a small, fixed set), and how often it was held back.

        Whether it was said.
        """
        now = time.monotonic()
        seen = self._seen.get(about)
        if seen is not None and now - seen.since < QUIET_SECONDS:
            self._seen[about] = _Occurrences(seen.since, seen.suppressed + 1)
            return False
        held_back = f" (and {seen.suppressed} more like it since)" if seen is not None and seen.suppressed else ""
        self._seen[about] = _Occurrences(now, 0)
        self.say(message + held_back)
        return True
