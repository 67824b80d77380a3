from __future__ import annotations

import time
from typing import NamedTuple


class Deadline(NamedTuple):
    """A point on the monotonic clock; every wait of the agent ends there."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.end - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self.end
