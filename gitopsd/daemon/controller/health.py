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


class Reachable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`age`: seconds since the repository was last looked at with success, None where it never was; `error`: why not
    since.
    """

    age: float | None
    error: str = ""


class Ready(Struct, frozen=True, kw_only=True):
    """`reasons` say why it isn't ready, and are empty where it is."""

    ready: bool
    role: Literal["leading", "standing-by", "stopping"]
    reasons: tuple[str, ...] = ()
    environments: Mapping[str, Reachable] = {}


class Health:
    """`clock` is that of the heartbeats, `wall` that of events; safe to use from any thread."""

    def __init__(self, hearts: Heartbeats, *, clock: Clock, wall: Clock) -> None:
        self._hearts = hearts
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._role: Literal["leading", "standing-by", "stopping"] = "standing-by"
        self._looked: dict[str, float] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    def __call__(self, event: told.Event) -> None:
        with self._lock:
            match event:
                case told.Leading():
                    self._role = "leading"
                case told.Stopping():
                    self._role = "stopping"
                case told.Looked():
                    self._looked[event.environment] = event.at
                    self._failed.pop(event.environment, None)
                case told.LookFailed():
                    self._failed[event.environment] = (event.at, event.error)
                case _:
                    pass

    def alive(self) -> Alive:
        overdue = self._hearts.overdue(self._clock())
        return Alive(alive=not overdue, overdue=overdue)

    def ready(self) -> Ready:
        """Ready is a controller that leads and reached the repository when it last looked, or one that stands by."""
        with self._lock:
            role, environments = self._role, self._reachable()
        errors = dict.fromkeys(one.error for one in environments.values() if one.error)
        reasons = [f"the repository can't be looked at: {error}" for error in errors]
        if role == "stopping":
            reasons.insert(0, "it was asked to end")
        elif role == "leading" and not environments:
            reasons.append("the repository was not looked at yet")
        return Ready(ready=not reasons, role=role, reasons=tuple(reasons), environments=environments)

    def _reachable(self) -> dict[str, Reachable]:
        """Of the environments that there are: one of which nothing is said while others are is no more."""
        last = dict(self._looked)
        for name, (at, _) in self._failed.items():
            last[name] = max(at, last.get(name, at))
        now, newest = self._wall(), max(last.values(), default=0.0)
        return {
            name: Reachable(
                age=max(0.0, now - self._looked[name]) if name in self._looked else None,
                error=self._failed.get(name, (0.0, ""))[1],
            )
            for name in sorted(last)
            if last[name] >= newest - _GONE_SECONDS
        }
