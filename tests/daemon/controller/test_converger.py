"""The loop that keeps workers equal to what is deployed, cycle by cycle."""

import errno
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.converger import Converger
from gitopsd.daemon.controller.heartbeat import Heart, Heartbeats
from gitopsd.daemon.controller.loop import Loop
from gitopsd.daemon.controller.reporting import RolloutEvents
from gitopsd.daemon.controller.requests import Requests, Taken
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.holds.pausing import pause_environment
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.facts import JobTraffic
from tests.daemon.three_machines import BRANCH, three_machines


def _nobody(environment: str, worker: str, jobs: Mapping[str, JobTraffic]) -> None:
    """No worker is reached here."""
    raise AssertionError((environment, worker, jobs))


@dataclass(slots=True)
class Daemon:
    """Its converging loop alone, without threads, of an environment that is paused: so no worker is reached."""

    workspace: Workspace
    interval: float = 1000.0
    told: list[events.Event] = field(default_factory=list)
    converger: Converger = field(init=False)

    def __post_init__(self) -> None:
        self.converger = Converger(
            BRANCH,
            lambda: self.workspace,
            Troubles("test", "production", "converge"),
            self.told.append,
            interval=lambda: self.interval,
            stop=lambda: False,
            converged=lambda: None,
            traffic=_nobody,
        )

    def cycle(self, *workers: str, asked: bool = False) -> float:
        taken = Taken(number=1, asked=asked or bool(workers), workers=frozenset(workers))
        return self.converger.cycle(taken, Heart(lambda _: None, 10.0))


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    workspace = three_machines(tmp_path / "repository").workspace()
    pause_environment(workspace, reason="an inventory", until="")
    yield Daemon(workspace)
    workspace.close()


def test_a_cycle_that_ends_with_a_full_disk_is_told_to_whoever_asked_for_it(daemon: Daemon) -> None:
    def full(taken: Taken, heart: Heart) -> float:
        del taken, heart
        requests.end()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    requests = Requests()
    number = requests.ask()
    loop = Loop("converge", full, requests, Heartbeats(time.monotonic), failed=daemon.converger.failed)
    loop.start()
    assert loop.join(30)
    told = next(event for event in daemon.told if isinstance(event, events.Converged))
    assert (told.request, told.problem) == (number, "No space left on device")
    assert daemon.converger.problem == "No space left on device"


def test_looks_at_some_workers_do_not_put_off_the_look_at_all_of_them(daemon: Daemon) -> None:
    assert daemon.cycle("edge-1") == 0.0, "none of the others was looked at yet"
    assert daemon.cycle() > 800
    daemon.interval = 0.0
    daemon.cycle()
    daemon.interval = 1000.0
    assert daemon.cycle("edge-1") == 0.0


def test_a_pause_is_said_when_it_begins_and_to_whoever_asks(daemon: Daemon) -> None:
    def said() -> int:
        return sum(isinstance(event, events.Said) for event in daemon.told)

    for _ in range(3):
        daemon.cycle()
    assert said() == 1
    daemon.cycle(asked=True)
    assert said() == 2


def test_a_warning_that_stays_as_it_is_is_said_once() -> None:
    told: list[events.Event] = []

    def cycle(known: frozenset[str], *messages: str) -> frozenset[str]:
        heart = Heart(lambda _: None, 10.0)
        reporter = RolloutEvents(
            "production", told.append, stop=lambda: False, heart=heart, known=known, traffic=_nobody
        )
        for message in messages:
            reporter.warn(message)
        return frozenset(reporter.warned)

    known = cycle(frozenset(), "the disk is full")
    known = cycle(known, "the disk is full", "edge-1 is silent")
    known = cycle(known, "the disk is full")
    cycle(cycle(known), "the disk is full")
    said = [event.message for event in told if isinstance(event, events.Said)]
    assert said == ["the disk is full", "edge-1 is silent", "the disk is full"]
