"""The columns of the matrix: what happens at a point, and what is put right before reconcile runs."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash.scene import DATA, SYSTEM, fill
from tests.crash.steps import AGENT, CONTROLLER
from tests.fleet.deadline import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.crash.commands import Command
    from tests.crash.scene import Scene

_HOUR = 3600
# what an apply is left alone for before Ctrl-C, where it would wait for a worker that can't answer
_PATIENCE = 1.0
# what it may take where it can end by itself
_ENDS = 90.0
# for an agent that goes on without its controller to come to where it arms the switch
_ARMED = 2.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`action` is what the process itself does at the point (points.py). One that is held there meanwhile has `strike`:
    it is called with the apply under way, goes on when it has struck, and ends once all is put right.
    """

    name: str
    sides: tuple[str, ...]
    action: str = "hold"
    strike: Callable[[Scene, Command, Callable[[], None]], contextlib.AbstractContextManager[None]] | None = None
    boots: bool = False
    harmless: bool = False
    """Whether the apply itself must end well."""
    full: bool = False
    """Whether every point is tried in the full matrix, or the first and last of each step."""


@contextlib.contextmanager
def _controller_killed(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    del scene
    apply.signal(signal.SIGKILL)
    assert apply.wait(10.0)
    go()
    yield


@contextlib.contextmanager
def _link_cut(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    scene.machine.cut_link()
    try:
        go()
        apply.stop(_PATIENCE)
        yield
    finally:
        scene.machine.restore_link()
        scene.machine.wait_until_up()  # a route that failed for long takes a moment to come back


@contextlib.contextmanager
def _link_cut_for_long(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    """Until a worker that was given something new has gone back to what it had, since nobody confirmed it."""
    with _link_cut(scene, apply, go):
        time.sleep(_ARMED)
        data = scene.machine.root / DATA.lstrip("/")
        switch = (data / "switch.json", data / "rolling-back.json")
        wait_until(lambda: not any(map(Path.exists, switch)), timeout=_ENDS, what="the switch")
        yield


@contextlib.contextmanager
def _machine_killed(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    scene.machine.power_off()
    go()
    apply.stop(_PATIENCE)
    scene.machine.boot()
    yield


@contextlib.contextmanager
def _disk_full(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    with _filled(scene.machine.root / DATA.lstrip("/")), _filled(scene.machine.root / SYSTEM.lstrip("/")):
        go()
        apply.stop(_ENDS)
        yield


@contextlib.contextmanager
def _read_only(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    folders = (DATA, SYSTEM)
    for folder in folders:
        scene.machine.make_read_only(folder)
    try:
        go()
        apply.stop(_ENDS)
        yield
    finally:
        for folder in folders:
            scene.machine.make_writable(folder)


@contextlib.contextmanager
def _controller_disk_full(scene: Scene, apply: Command, go: Callable[[], None]) -> Iterator[None]:
    with _filled(scene.home):
        go()
        apply.stop(_ENDS)
        yield


@contextlib.contextmanager
def _filled(folder: Path) -> Iterator[None]:
    ballast = fill(folder)
    try:
        yield
    finally:
        ballast.unlink()


_BOTH = (AGENT, CONTROLLER)
FAULTS = (
    Fault(name="agent killed", sides=(AGENT,), action="kill", full=True),
    Fault(name="controller killed", sides=(CONTROLLER,), action="kill", full=True),
    Fault(name="controller killed", sides=(AGENT,), strike=_controller_killed),
    Fault(name="link cut", sides=_BOTH, strike=_link_cut),
    Fault(name="link cut for long", sides=(AGENT,), strike=_link_cut_for_long),
    Fault(name="machine killed", sides=_BOTH, strike=_machine_killed, boots=True),
    Fault(name="worker's disk full", sides=_BOTH, strike=_disk_full),
    Fault(name="worker's disk read-only", sides=_BOTH, strike=_read_only),
    Fault(name="controller's disk full", sides=(CONTROLLER,), strike=_controller_disk_full),
    Fault(name="clock an hour back", sides=(CONTROLLER,), action=f"clock {-_HOUR}", harmless=True),
    Fault(name="clock an hour on", sides=(CONTROLLER,), action=f"clock {_HOUR}", harmless=True),
)
