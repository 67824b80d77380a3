from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Progress:
    """What one activation has done so far."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, dict[str, Any]] = {}
        self.daemon_reload = False

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time spent inside to that of the step."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.monotonic() - start, 6)

    def fail(self, job: str, message: str, log: list[str]) -> None:
        self.failed[job] = {"message": message, "log": log}
