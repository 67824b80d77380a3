"""Keeps the workers of one environment equal to the head of its artifact branch: when it moves, and time and again."""

import random
import time
from collections.abc import Callable
from dataclasses import replace

from gitopsd.daemon.artifacts.control import known_pause
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.loop import SEE_LOG
from gitopsd.daemon.controller.reporting import RolloutEvents, TellTraffic, Voice
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.convergence.attempts import attempts_of
from gitopsd.daemon.deploying.reconcile import reconcile
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.errors import RemoteUnreachableError, RepositoryError
from gitopsd.repo.publish import fetch_artifacts

_LOCK_SECONDS = 300.0
_QUIET_SECONDS = 600.0
"""The longest that a cycle says nothing: the lock, a fetch, a note that is pushed."""

_FETCH_SECONDS = 60.0
_SOONEST_SECONDS = 1.0


class Converger:
    """The cycle of the thread that observes and changes workers.

    `interval` is how many seconds lie between two looks at all workers. `stop` has a rollout end early, and
    `converged` is called at the end of each cycle.
    """

    def __init__(
        self,
        branch: ArtifactBranch,
        workspace: Callable[[], Workspace],
        troubles: Troubles,
        tell: events.Listener,
        *,
        interval: Callable[[], float],
        stop: Callable[[], bool],
        converged: Callable[[], None],
        traffic: TellTraffic,
    ) -> None:
        self._branch = branch
        self._workspace = workspace
        self._troubles = troubles
        self._tell = tell
        self._interval = interval
        self._stop = stop
        self._converged = converged
        self._traffic = traffic
        self._all_due = 0.0  # on the steady clock
        self._said = ""
        self._warned: frozenset[str] = frozenset()
        self.head = ""
        """The artifact head that all workers are made equal to, or were, as far as that went."""
        self._alone = False
        self.cycles = 0
        self.problem = self.hint = ""
        """What kept the last cycle from being done, or empty."""

    def cycle(self, taken: Taken, heart: Heart) -> float:
        known = () if taken.asked else self._warned  # what stays as it is, is a line of the log once
        reporter = RolloutEvents(
            self._branch.environment, self._tell, stop=self._stop, heart=heart, known=known, traffic=self._traffic
        )
        with heart.allowed(_QUIET_SECONDS):
            problem = hint = ""
            wait = self._until_all(taken)
            try:
                workspace = self._brought_up_to_date(self._workspace(), reporter)
                head = read_head(workspace.repository, self._branch)
                if head is not None and not self._is_paused(workspace, head, taken, reporter):
                    self.head = self.head if taken.workers else head.commit.id
                    self._converge(workspace, taken, reporter)
                    wait = min(wait, self._until_next_attempt(workspace))
                self._troubles.over()
            except (RepositoryError, ControllerError, DiagnosticsError) as error:
                problem, hint = (str(error), "") if isinstance(error, DiagnosticsError) else (error.message, error.hint)
                wait = min(wait, self._troubles.add(self.head, problem, hint).wait)
        if not taken.workers:
            self.head = reporter.head or self.head
        self._warned = frozenset(reporter.warned)
        self.problem, self.hint = problem, hint
        self.cycles += 1
        self._tell(
            events.Converged(
                **reporter.here(),
                head=self.head,
                deployment=reporter.deployment,
                request=taken.number,
                problem=problem,
                hint=hint,
                next=time.time() + wait,
            )
        )
        self._converged()
        return wait

    def failed(self, taken: Taken, why: str) -> None:
        """A cycle ended with an error that isn't known here: who asked for it hears of it all the same."""
        self.problem, self.hint = why, SEE_LOG
        here = Voice(self._branch.environment, self._tell).here()
        self._tell(
            events.Converged(
                **here, head=self.head, deployment=0, request=taken.number, problem=why, hint=SEE_LOG, next=0.0
            )
        )

    def _until_all(self, taken: Taken) -> float:
        """Seconds until all workers are looked at again; a look at some of them doesn't put that off."""
        now = time.monotonic()
        if not taken.workers:
            self._all_due = now + self._interval() * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        return max(0.0, self._all_due - now)

    def _brought_up_to_date(self, workspace: Workspace, reporter: RolloutEvents) -> Workspace:
        """A repository that is away keeps no worker from being healed; what comes of that can't be recorded then."""
        try:
            fetch_artifacts(workspace.repository, self._branch, workspace.remote, deadline=_FETCH_SECONDS)
        except RemoteUnreachableError as error:
            if workspace.remote is None or workspace.repository.ref(self._branch.ref) is None:
                raise
            if not self._alone:
                reporter.warn(f"{error.message}: workers are kept equal to what was deployed last")
            self._alone = True
            return replace(workspace, remote=replace(workspace.remote, away=True))
        self._alone = False
        return workspace

    def _is_paused(self, workspace: Workspace, head: ArtifactHead, taken: Taken, reporter: RolloutEvents) -> bool:
        """Nothing is applied or healed then; that is no trouble."""
        pause = known_pause(workspace.repository, head)
        said, self._said = self._said, ""
        if pause is None or pause.expired:
            return False
        self._said = f"{self._branch.environment} is paused by {pause.owner}: nothing is changed on workers"
        if self._said != said or taken.asked:
            reporter.note(self._said)
        return True

    def _converge(self, workspace: Workspace, taken: Taken, reporter: RolloutEvents) -> None:
        names = sorted(taken.workers)
        results = reconcile(workspace, names, reporter=reporter, at_once=taken.at_once, deadline=_LOCK_SECONDS)
        for result in results:
            self._tell(events.WorkerEnded(**reporter.here(), deployment=reporter.deployment, result=result))

    def _until_next_attempt(self, workspace: Workspace) -> float:
        """Seconds until a worker is due that was tried in vain."""
        attempts = attempts_of(workspace, self._branch)
        now = attempts.now().wall
        tried = [one.backoff.last for one in attempts.known().values()]
        return max(_SOONEST_SECONDS, min((last[1].remaining(now) for last in tried if last), default=1e9))
