"""What a worker says of the activation that nobody confirmed yet, or that was undone; as it is shown."""

from msgspec import Struct

from gitopsd.daemon.convergence.left_out import utc
from gitopsd.model.facts import Observation


class Unconfirmed(Struct, frozen=True, kw_only=True):
    """`release` is held on trial: unless the controller confirms it, the worker returns to `previous` by itself.

    `previous` is empty where nothing was there before; `seconds_left` is None where that isn't known. `phase` is
    `activating`, `waiting` or `rolling-back`.
    """

    release: str
    previous: str
    phase: str
    seconds_left: float | None = None

    def __str__(self) -> str:
        if self.phase == "rolling-back":
            return f"it is undoing {_short(self.release)} right now, and returns to {_short(self.previous)}"
        if self.phase == "activating":
            return f"{_short(self.release)} is being activated, or that was cut short; nothing has confirmed it"
        left = "" if self.seconds_left is None else f" in {max(0.0, self.seconds_left):.0f} s"
        return f"nobody has confirmed {_short(self.release)} yet: it returns to {_short(self.previous)} by itself{left}"


class RolledBack(Struct, frozen=True, kw_only=True):
    """The last activation was undone: of `release`, back to `to`, which is empty where nothing was there before.

    `at` is UTC, by the worker's clock.
    """

    release: str
    to: str
    at: str
    reason: str

    def __str__(self) -> str:
        return f"rolled itself back at {self.at}, from {_short(self.release)} to {_short(self.to)}: {self.reason}"


def unconfirmed(seen: Observation | None) -> Unconfirmed | None:
    """None where nothing waits to be confirmed, as far as is known."""
    if seen is None or seen.switch is None:
        return None
    switch = seen.switch
    return Unconfirmed(
        release=switch.release,
        previous=switch.previous or "",
        phase=switch.phase,
        seconds_left=switch.seconds_left,
    )


def rolled_back(seen: Observation | None, desired: str) -> RolledBack | None:
    """What was undone last, where that is what the worker should hold: of anything else it is history."""
    found = None if seen is None else seen.rolled_back
    if found is None or found.release != desired:
        return None
    return RolledBack(release=found.release, to=found.to or "", at=utc(found.at), reason=found.reason)


def _short(release: str) -> str:
    return release[:12] or "nothing at all"
