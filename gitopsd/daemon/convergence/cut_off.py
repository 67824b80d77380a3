"""A worker that was changed and can't be reached since: tried until it answers, or has undone the change."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerError, WorkerRefused
from gitopsd.fleet.target import Target
from gitopsd.model.facts import Observation, RolledBackTo

_ROLL_BACK_SECONDS = 60.0
"""What undoing a change may take a worker, once it has begun: it stops and starts every job that it changed."""

_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """It answers, holds the release, and was told that it may keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverMade:
    """It answers, holds another release, and undid nothing: what it was sent hasn't come to it; `what` says so."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledAway:
    """It answers, and holds again what it held before; `what` says so."""

    what: str


def wait_for(
    workers: Workers,
    target: Target,
    release: str,
    before: RolledBackTo | None,
    *,
    confirm_timeout: float,
    say: Callable[[str], None],
    stopping: Callable[[], bool],
) -> Reached | RolledAway | NeverMade | str:
    """What became of the worker; text where it is not known. Waits until the worker must have undone the change.

    `before`: what it said of an earlier change that it undid, before this one. Raises nothing of one try: what counts
    is the next one.
    """
    end = time.monotonic() + confirm_timeout + _ROLL_BACK_SECONDS
    last = "it didn't answer"
    while (left := end - time.monotonic()) > 0 and not stopping():
        say(f"it undoes the change by itself, {left:.0f} s left")
        try:
            with workers.connect_anew(target) as anew:
                seen = verbs.observe(anew, timeout=min(30.0, max(1.0, left)))
                switch = seen.switch
                if switch is not None and switch.phase == "waiting" and switch.release == seen.release == release:
                    verbs.confirm(anew, switch.token, release)
                    return Reached()
        except WorkerError as error:
            last = error.message
            if isinstance(error, WorkerRefused) and error.code not in {"busy", "rolled-back"}:
                return f"and then it said: {error.message}"
        else:
            found = _settled(seen, release, before)
            if found is not None:
                return found
        time.sleep(min(_PAUSE_SECONDS, max(0.0, left)))
    return (
        f"it undoes the change by itself {confirm_timeout:g} s after it was made; it could not be seen doing so: {last}"
    )


def _settled(
    seen: Observation, release: str, before: RolledBackTo | None
) -> Reached | RolledAway | NeverMade | str | None:
    """What an observation without a switch that can be confirmed comes to; None where it isn't over."""
    if seen.busy or (seen.switch is not None and seen.switch.phase != "activating"):
        return None
    rolled = seen.rolled_back
    if rolled is not None and rolled != before and rolled.release == release and seen.release != release:
        return RolledAway(
            what=f"it undid the change by itself and holds {short_id(seen.release)} again: {rolled.reason}"
        )
    if seen.switch is not None or seen.interrupted:
        return "the change was cut short there, and is finished or undone by the next one"
    if seen.release == release:
        return Reached()  # nothing was armed, or it was confirmed by another
    return NeverMade(what=f"it holds {short_id(seen.release)}: the change was never made")


def short_id(release: str | None) -> str:
    """A release as people compare them."""
    return release[:12] if release else "no release"
