"""The two loops of one environment: one commits what is to be deployed, the other makes workers equal to it."""

from collections.abc import Callable
from dataclasses import dataclass

from gitopsd.daemon.controller.converger import Converger
from gitopsd.daemon.controller.deployer import Deployer
from gitopsd.daemon.controller.events import Listener as Tell
from gitopsd.daemon.controller.heartbeat import Heartbeats
from gitopsd.daemon.controller.loop import Loop
from gitopsd.daemon.controller.reach import ThreadWorkspace
from gitopsd.daemon.controller.reporting import TellTraffic
from gitopsd.daemon.controller.requests import Requests
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connect import Workers
from gitopsd.repo.artifacts import ArtifactBranch


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an environment's loops have from the controller.

    `repository` is its identity; `generation` counts configurations, `newest` gives the source branch's commit, `pin`
    what the tag points at that an environment is pinned to, and `interval` the seconds between two looks at all
    workers.
    """

    repository: str
    open_workspace: Callable[[], Workspace]
    open_workers: Callable[[Workspace], Workers]
    generation: Callable[[], int]
    newest: Callable[[], str]
    pin: Callable[[str], str]
    interval: Callable[[], float]
    tell: Tell
    hearts: Heartbeats
    stop: Callable[[], bool]
    traffic: TellTraffic


class EnvironmentLoops:
    """Both begin at once: what is deployed is looked after, whatever becomes of the newest version."""

    def __init__(self, branch: ArtifactBranch, around: Surroundings) -> None:
        self.branch = branch
        name = branch.environment
        self._ended = False
        self._seen: tuple[str, str, str] | None = None
        self.to_deploy, self.to_converge = Requests(), Requests()
        self._spaces = [
            ThreadWorkspace(around.open_workspace, around.generation, branch=branch),
            ThreadWorkspace(around.open_workspace, around.generation, branch=branch, open_workers=around.open_workers),
        ]
        self.deployer = Deployer(
            branch,
            self._spaces[0],
            Troubles(around.repository, name, "deploy"),
            around.tell,
            newest=around.newest,
            pin=lambda: around.pin(name),
            generation=around.generation,
            committed=self.to_converge.ask,
        )
        self.converger = Converger(
            branch,
            self._spaces[1],
            Troubles(around.repository, name, "converge"),
            around.tell,
            interval=around.interval,
            stop=lambda: self._ended or around.stop(),
            converged=self._go_on,
            traffic=around.traffic,
        )
        self._loops = (
            Loop(f"deploy {name}", self.deployer.cycle, self.to_deploy, around.hearts, failed=self.deployer.failed),
            Loop(
                f"converge {name}",
                self.converger.cycle,
                self.to_converge,
                around.hearts,
                failed=self.converger.failed,
            ),
        )

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def seen(self, source: str, head: str, pin: str) -> None:
        """Where the branches, and the tag of a pin, are by now: what moved is seen to at once."""
        before, self._seen = self._seen, (source, head, pin)
        if before is None or before == self._seen:
            return  # both loops begin with a cycle that nobody asked for
        self.to_deploy.ask()
        if before[1] != head and head != self.converger.head:
            self.to_converge.ask()

    def _go_on(self) -> None:
        if self.deployer.awaits_rollout:
            self.to_deploy.ask()

    def reread(self) -> None:
        """The configuration may be another one."""
        self.to_deploy.ask()
        self.to_converge.ask()

    @property
    def waiting(self) -> int:
        """Requests that neither loop has taken yet."""
        return self.to_deploy.waiting + self.to_converge.waiting

    @property
    def connections(self) -> int:
        """How many to workers are open."""
        return sum(space.connections for space in self._spaces)

    def end(self) -> None:
        """Asks both loops to end; a rollout that is under way has some seconds to come to where nothing is undone."""
        self._ended = True
        for loop in self._loops:
            loop.end()

    def join(self, seconds: float) -> bool:
        """Whether both have ended; then what they had open is closed."""
        for loop in self._loops:
            if not loop.join(seconds):
                return False
        for space in self._spaces:
            space.close()
        return True
