"""The controller: leads, looks where the branches are, and keeps the loops of all environments going."""

import ctypes
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from msgspec import UnsetType

from gitopsd import __version__
from gitopsd.daemon.artifacts.control import moment
from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.controller import events, sd_notify
from gitopsd.daemon.controller.broadcast import Broadcast
from gitopsd.daemon.controller.channel_traffic import ChannelTraffic
from gitopsd.daemon.controller.control_socket.client import own_socket
from gitopsd.daemon.controller.control_socket.following import Following
from gitopsd.daemon.controller.control_socket.protocol import Leader
from gitopsd.daemon.controller.control_socket.server import ControlServer
from gitopsd.daemon.controller.environment import EnvironmentLoops, Surroundings
from gitopsd.daemon.controller.heartbeat import Heartbeats
from gitopsd.daemon.controller.housekeeping import Housekeeping
from gitopsd.daemon.controller.leadership import leadership
from gitopsd.daemon.controller.looker import Looker, Seen
from gitopsd.daemon.controller.loop import Loop
from gitopsd.daemon.controller.onlookers.metrics import Asked
from gitopsd.daemon.controller.pull_requests.counts import Counts
from gitopsd.daemon.controller.reach import ThreadWorkspace
from gitopsd.daemon.controller.requests import Requests
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.controller.watch import RefWatch
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.fleet_access import ssh_settings
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.struct_types import learn_struct_types
from gitopsd.model.amounts import seconds
from gitopsd.repo.repository import Repository

if TYPE_CHECKING:
    from gitopsd.daemon.controller.pull_requests.start import PullRequestLoop

_COLLECT_AFTER = (20_000, 10, 10)
"""What lives for long must not wait for long for Python to find circles, which hold packs and memory."""

_M_ARENA_MAX = -8
"""mallopt(3)"""

_TICK_SECONDS = 1.0
_LOOK_SECONDS = 120.0
"""How long a repository that could not be looked at is left alone at most: once it is back, people wait for that."""

_STOP_SECONDS = 15.0
"""More than a rollout takes to come to where nothing is undone again; systemd waits for a little longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a controller is started. `open_workspace` reads the configuration as it is then.

    `environment` is the only one that it is for; None for all that the repository has. `open_workers` makes the
    connections that an environment keeps.
    """

    open_workspace: Callable[[], Workspace]
    environment: str | None = None
    open_workers: Callable[[Workspace], Workers] = lambda workspace: Workers(ssh_settings(workspace))


def _share_heaps() -> None:
    """Threads share two heaps of the C library: with one each, what they free in turn is never given back."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


class Controller:
    """One process's. `run` returns when it was asked to stop, and raises what keeps it from beginning at all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._generation = 0
        self._broadcast = Broadcast()
        self._hearts = Heartbeats(time.monotonic)
        self._environments: dict[str, EnvironmentLoops] = {}
        self._leaving: list[EnvironmentLoops] = []
        self._lock = threading.Lock()
        self._since = moment()
        self._to_look = Requests()
        self._pull_requests: PullRequestLoop | None = None
        self._counts = Counts()
        self._traffic = ChannelTraffic(time.monotonic)
        self._seen: Seen | None = None
        self._first = settings.open_workspace()
        self._identity = self._first.identity
        self._socket = own_socket(self._first.configuration.listen.control)
        self._intervals = self._first.configuration.intervals

    @property
    def broadcast(self) -> Broadcast:
        """Where listeners are added, before `run`."""
        return self._broadcast

    @property
    def repository(self) -> str:
        """Its identity."""
        return self._identity

    @property
    def configuration(self) -> Configuration:
        """As it was read at the start."""
        return self._first.configuration

    @property
    def hearts(self) -> Heartbeats:
        """Of its threads, by the steady clock."""
        return self._hearts

    @property
    def asked(self) -> Asked:
        """What metrics ask for."""
        return Asked(
            waiting=lambda: {name: loops.waiting for name, loops in self._known().items()},
            connections=lambda: sum(loops.connections for loops in self._known().values()),
            overdue=lambda: len(self._hearts.overdue(time.monotonic())),
            forge=self._counts,
            traffic=self._traffic.metrics,
        )

    def look(self) -> None:
        """Have it look where the branches are, soon; from any thread."""
        self._to_look.ask()

    def look_at_pull_requests(self) -> None:
        """The same for what is open on the forge."""
        if self._pull_requests is not None:
            self._pull_requests.look_again()

    def stop(self) -> None:
        """From any thread, or a signal's handler."""
        self._stop.set()

    def run(self) -> None:
        """Stands by until it leads, then leads until it is asked to stop."""
        gc.set_threshold(*_COLLECT_AFTER)
        _share_heaps()
        learn_struct_types()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, self._ask_reload)
        with leadership(
            self._identity, stop=self._stop, standing_by=self._stand_by, still_there=self._still_alive
        ) as leads:
            if leads:
                self._lead()
        sd_notify.stopping("stopped")

    def _stand_by(self, leader: str) -> None:
        logging.getLogger(__name__).info("standing by: %s leads %s", leader, self._identity)
        sd_notify.ready(f"standing by: {leader} leads {self._identity}")

    def _still_alive(self) -> None:
        """The watchdog is put off only while every thread gets on."""
        stuck = self._hearts.overdue(time.monotonic())
        if stuck:
            logging.getLogger(__name__).error("these threads don't get on: %s", ", ".join(stuck))
        else:
            sd_notify.still_alive()

    def _lead(self) -> None:
        space = ThreadWorkspace(self._open_workspace, lambda: self._generation)
        looker = Looker(
            space,
            Troubles(self._identity, "", "look", cap=_LOOK_SECONDS),
            self._broadcast.tell,
            lambda seen: self._found(seen, looker),
            poll=lambda: seconds(self._intervals.poll),
            only=self._settings.environment,
        )
        look = Loop("look", looker.cycle, self._to_look, self._hearts)
        tidy_space, tidied = ThreadWorkspace(self._open_workspace, lambda: self._generation), Requests()
        tidy = Loop("housekeeping", Housekeeping(tidy_space, self._tell).cycle, tidied, self._hearts)
        following = Following(self._leader, self._known, self._broadcast, look=self._to_look.ask, seen=looker)
        with ExitStack() as opened:
            server = ControlServer(self._socket, following.respond)
            opened.callback(server.close)
            server.start()
            self._watch(self._first.repository)
            opened.callback(lambda: space.close() if look.join(_TICK_SECONDS) else None)
            look.start()
            tidy.start()
            self._follow_forge(self._first.configuration)
            self._tell(events.Leading(environment="", at=time.time()))
            sd_notify.ready(f"leads {self._identity}")
            reading: threading.Thread | None = None
            while not self._stop.wait(_TICK_SECONDS):
                self._still_alive()
                self._reap()
                if self._reload.is_set() and not (reading and reading.is_alive()):
                    self._reload.clear()
                    reading = threading.Thread(target=self._read_again, name="reload", daemon=True)
                    reading.start()  # opening a repository that is elsewhere may take long, and this thread must not
            sd_notify.stopping("stopping: rollouts come to where nothing is undone")
            self._tell(events.Stopping(environment="", at=time.time()))
            look.end()  # and has all the time of the others: a server that hangs must not make it twice as long
            tidy.end()  # and is not waited for: a repacking that is cut off leaves what there was
            if self._pull_requests is not None:
                self._pull_requests.end()  # nor that: what is planned is bounded, and told again if it was cut off
            self._end_all()

    def _found(self, seen: Seen, looker: Looker) -> None:
        """Called by the thread that looks. Environments come and go with gitopsd.yaml."""
        with self._lock:
            if self._stop.is_set():
                return
            for name in [name for name, one in self._environments.items() if seen.environments.get(name) != one.branch]:
                self._warn(name, f"{name} is no longer in gitopsd.yaml as it was: what it deployed is left as it is")
                gone = self._environments.pop(name)
                gone.end()
                self._leaving.append(gone)
            for name, branch in seen.environments.items():
                if name not in self._environments and all(one.branch.environment != name for one in self._leaving):
                    loops = self._environments[name] = EnvironmentLoops(branch, self._surroundings(looker))
                    loops.start()
            for name, loops in self._environments.items():
                loops.seen(seen.source, seen.heads.get(name, ""), seen.pins.get(name, ""))
        before, self._seen = self._seen, seen
        if before != seen:
            self.look_at_pull_requests()

    def _follow_forge(self, configuration: Configuration) -> None:
        """Begins to look at pull requests, where a forge is configured, now or after a reload."""
        if self._pull_requests is not None or isinstance(configuration.forge, UnsetType):
            return
        from gitopsd.daemon.controller.pull_requests.start import start  # noqa: PLC0415 - HTTP, for those who need it

        self._pull_requests = start(
            repository=self._identity,
            workspace=ThreadWorkspace(self._settings.open_workspace, lambda: self._generation),
            broadcast=self._broadcast,
            hearts=self._hearts,
            environments=self._known,
            seen=lambda: self._seen,
            stop=self._stop.is_set,
            counts=self._counts,
            only=self._settings.environment,
        )

    def _surroundings(self, looker: Looker) -> Surroundings:
        return Surroundings(
            repository=self._identity,
            open_workspace=self._open_workspace,
            open_workers=self._settings.open_workers,
            generation=lambda: self._generation,
            newest=lambda: looker.newest,
            pin=looker.pin,
            interval=lambda: seconds(self._intervals.reconcile),
            tell=self._tell,
            hearts=self._hearts,
            stop=self._stop.is_set,
            traffic=self._traffic.tell,
        )

    def _reap(self) -> None:
        with self._lock:
            self._leaving = [one for one in self._leaving if not one.join(0.0)]

    def _end_all(self) -> None:
        with self._lock:
            loops = [*self._environments.values(), *self._leaving]
        for one in loops:
            one.end()
        until = time.monotonic() + _STOP_SECONDS
        for one in loops:
            if not one.join(max(0.0, until - time.monotonic())):
                logging.getLogger(__name__).warning("%s had not ended in time", one.branch.environment)

    def _ask_reload(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._reload.set()

    def _read_again(self) -> None:
        """A configuration that can't be used changes nothing: the one of before counts."""
        sd_notify.reloading()
        try:
            opened = self._open_workspace()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the controller goes on as it was
            hint = getattr(error, "hint", "")
            self._warn("", f"the configuration was not read again: {error}{f' ({hint})' if hint else ''}")
        else:
            self._intervals = opened.configuration.intervals
            opened.close()
            self._warn_of_what_waits(opened.configuration)
            self._generation += 1
            self._follow_forge(opened.configuration)
            self.look_at_pull_requests()
            self._to_look.ask()
            with self._lock:
                for loops in self._environments.values():
                    loops.reread()
        if not self._stop.is_set():
            sd_notify.ready(f"leads {self._identity}")

    def _warn_of_what_waits(self, configuration: Configuration) -> None:
        """Sections that are read when the controller starts, and are others by now."""
        first = self._first.configuration
        at_start = ("listen", "notify") if isinstance(first.forge, UnsetType) else ("listen", "notify", "forge")
        waiting = [name for name in at_start if getattr(configuration, name) != getattr(first, name)]
        if waiting:
            names = " and ".join(f"`{name}`" for name in waiting)
            self._warn("", f"what is new in {names} counts once the controller is restarted")

    def _open_workspace(self) -> Workspace:
        """Only of the repository that is led: lock, socket and all that is remembered are that one's."""
        opened = self._settings.open_workspace()
        if opened.identity != self._identity:
            opened.close()
            raise ControllerError(
                f"the configuration names another repository, {opened.identity}, than {self._identity}, which is led",
                "restart it, and it leads the other one",
            )
        return opened

    def _watch(self, repository: Repository) -> None:
        if self._first.remote is None:
            RefWatch(repository.git_dir, self._to_look.ask, lambda why: self._warn("", why), self._stop).start()

    def _leader(self) -> Leader:
        return Leader(
            repository=self._identity,
            socket=str(self._socket),
            environments=tuple(sorted(self._known())),
            pid=os.getpid(),
            version=__version__,
            since=self._since,
        )

    def _known(self) -> dict[str, EnvironmentLoops]:
        with self._lock:
            return dict(self._environments)

    def _tell(self, event: events.Event) -> None:
        self._broadcast.tell(event)

    def _warn(self, environment: str, message: str) -> None:
        self._tell(events.Said(environment=environment, at=time.time(), message=message, level="warning"))
