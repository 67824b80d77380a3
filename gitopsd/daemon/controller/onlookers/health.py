"""Whether the controller is alive, and whether it is of use: what its health endpoints answer. A Listener."""

import threading
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.heartbeat import Clock, Heartbeats

_GONE_SECONDS = 3600.0


class Alive(Struct, frozen=True, kw_only=True):
    """`overdue` names the threads that get nowhere."""

    alive: bool
    overdue: tuple[str, ...] = ()


class Ready(Struct, frozen=True, kw_only=True):
    """`reasons` say why it isn't ready, and are empty where it is.

    `looked`: for each environment the seconds since its branches were last looked at with success.
    """

    ready: bool
    role: Literal["leading", "standing-by", "stopping"]
    reasons: tuple[str, ...] = ()
    looked: Mapping[str, float] = {}


class Health:
    """`clock` is that of the heartbeats, `wall` that of events; safe to use from any thread."""

    def __init__(self, hearts: Heartbeats, *, clock: Clock, wall: Clock) -> None:
        self._hearts = hearts
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._role: Literal["leading", "standing-by", "stopping"] = "standing-by"
        self._looked: dict[str, float] = {}
        self._error = ""  # of the last look, which is at all environments at once

    def __call__(self, event: told.Event) -> None:
        with self._lock:
            match event:
                case told.Leading():
                    self._role = "leading"
                case told.Stopping():
                    self._role = "stopping"
                case told.Looked():
                    self._looked[event.environment] = event.at
                    self._error = ""
                case told.LookFailed():
                    self._error = event.error
                case _:
                    pass

    def alive(self) -> Alive:
        overdue = self._hearts.overdue(self._clock())
        return Alive(alive=not overdue, overdue=overdue)

    def ready(self) -> Ready:
        """Ready is a controller that leads and reached the repository when it last looked, or one that stands by."""
        with self._lock:
            role, error, looked = self._role, self._error, self._ages()
        reasons = []
        if role == "stopping":
            reasons.append("it was asked to end")
        if error:
            reasons.append(f"the repository can't be looked at: {error}")
        elif role == "leading" and not looked:
            reasons.append("the repository was not looked at yet")
        return Ready(ready=not reasons, role=role, reasons=tuple(reasons), looked=looked)

    def _ages(self) -> dict[str, float]:
        """An environment that isn't spoken of while others are is no more."""
        now, newest = self._wall(), max(self._looked.values(), default=0.0)
        current = {name: at for name, at in self._looked.items() if name and at >= newest - _GONE_SECONDS}
        return {name: max(0.0, now - at) for name, at in sorted(current.items())}
