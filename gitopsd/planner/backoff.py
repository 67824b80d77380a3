"""How long a worker is left alone that could not be reached, or put right: a state machine without a clock of its own.

What was tried in vain is kept in two records, since they mean two things: that no answer came, and that the answer was
no good. Neither hides the other, and neither is forgotten before the worker is well, or is to hold something else.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

FIRST_SECONDS = 15.0
CAP_SECONDS = 600.0
_LONGEST_ERROR = 2_000

Draw = Callable[[], float]
"""Gives numbers from 0 to 1, so that many workers that fail together aren't all tried again together."""

Trouble = Literal["failed", "unreachable"]


class Version(Struct, frozen=True):
    """What a worker is to hold: when either is another one, it is tried at once."""

    deployment: int
    release: str


class InVain(Struct, frozen=True, kw_only=True):
    """`attempts` in a row that ended in one kind of trouble, over one version.

    `at` is when the last of them ended, in seconds since the epoch; the next one is due `wait` seconds later.
    """

    version: Version
    attempts: int
    error: str
    at: float
    wait: float

    @property
    def next(self) -> float:
        return self.at + self.wait

    def remaining(self, now: float) -> float:
        """Seconds until the next attempt; 0 when it is due. Never more than `wait`, whatever became of the clock.

        A clock that went back behind the last attempt says nothing about how long ago that was: then it is due.
        """
        return 0.0 if now < self.at else max(0.0, min(self.wait, CAP_SECONDS) - (now - self.at))


class Backoff(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker's: nothing in it means that all is well, as far as is known."""

    failed: InVain | None = None
    unreachable: InVain | None = None

    @property
    def last(self) -> tuple[Trouble, InVain] | None:
        """What the last attempt came to: a worker that isn't reached can't be asked what failed before."""
        if self.unreachable is not None:
            return "unreachable", self.unreachable
        return None if self.failed is None else ("failed", self.failed)

    def holding(self, version: Version, now: float) -> tuple[Trouble, InVain] | None:
        """What keeps the worker from being tried now; None where it is due, or is to hold another version."""
        last = self.last
        if last is None or last[1].version != version or last[1].remaining(now) <= 0:
            return None
        return last


def well() -> Backoff:
    """After a worker was seen to be, or was made, what it should be."""
    return Backoff()


def after_trouble(before: Backoff, kind: Trouble, error: str, version: Version, *, now: float, draw: Draw) -> Backoff:
    """After one more attempt that came to nothing. A worker that failed was reached."""
    earlier = before.failed if kind == "failed" else before.unreachable
    attempts = earlier.attempts + 1 if earlier is not None and earlier.version == version else 1
    tried = InVain(
        version=version,
        attempts=attempts,
        error=error[:_LONGEST_ERROR],
        at=now,
        wait=waiting_time(attempts, draw),
    )
    if kind == "failed":
        return Backoff(failed=tried)
    return Backoff(failed=before.failed, unreachable=tried)


def waiting_time(attempts: int, draw: Draw) -> float:
    """Seconds after so many attempts in a row, from 1: twice as long each time up to the cap, the half of it drawn.

    (`equal jitter` of Marc Brooker's "Exponential Backoff and Jitter": the half that isn't drawn keeps it growing.)
    """
    longest = min(CAP_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, 32))
    return longest / 2 + longest / 2 * min(1.0, max(0.0, draw()))
