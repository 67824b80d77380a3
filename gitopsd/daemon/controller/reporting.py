"""What committing and converging report, as events."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypedDict

from gitopsd.daemon.artifacts.superseding import number_of
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.convergence.differences import Differences
from gitopsd.daemon.convergence.left_out import TriedInVain
from gitopsd.daemon.convergence.rollout_reporter import Stage
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.planning.deployed import Deployed
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.reverting.revert_commit import Revert
from gitopsd.daemon.workers.lost import GivenUp
from gitopsd.model.facts import JobTraffic, Observation

TellTraffic = Callable[[str, str, Mapping[str, JobTraffic]], None]
"""Called with an environment, a worker, and what its jobs say."""


class Here(TypedDict):
    """What every event has."""

    environment: str
    at: float


class Voice:
    """Says things of one environment."""

    def __init__(self, environment: str, tell: events.Listener) -> None:
        self.environment = environment
        self.tell = tell

    def here(self) -> Here:
        """The environment, and the time as it is now."""
        return Here(environment=self.environment, at=time.time())

    def note(self, message: str) -> None:
        self.tell(events.Said(**self.here(), message=message))

    def warn(self, message: str) -> None:
        self.tell(events.Said(**self.here(), message=message, level="warning"))


class PlanEvents(Voice):
    """Of committing a version."""

    def __init__(self, environment: str, tell: events.Listener) -> None:
        super().__init__(environment, tell)
        self._started = time.monotonic()

    def planned(self, planned: Planned) -> None:
        self.tell(
            events.Planned(
                **self.here(),
                source=planned.plan.inputs.source_commit,
                digest=planned.plan.digest,
                changes={str(action): count for action, count in planned.plan.counts().items()},
                workers=tuple(sorted(planned.plan.changed_workers)),
                seconds=time.monotonic() - self._started,
            )
        )


class RolloutEvents(Voice):
    """Of making workers equal to a head. `stop` has it end early; each answer to that is a sign of life.

    `known` are warnings that were told before, and aren't again; `warned` has all of this time. `traffic` is told what
    the jobs of each worker say of the events that pass them: too often, and too much, to be an event.
    """

    def __init__(
        self,
        environment: str,
        tell: events.Listener,
        *,
        stop: Callable[[], bool],
        heart: Heart,
        known: Collection[str] = (),
        traffic: TellTraffic,
    ) -> None:
        super().__init__(environment, tell)
        self._known = known
        self._traffic = traffic
        self.warned: set[str] = set()
        self._stop = stop
        self._heart = heart
        self._began = time.monotonic()
        self._deployment = 0
        self.head = ""
        self.interrupted = False

    wants_traffic = True

    def warn(self, message: str) -> None:
        self.warned.add(message)
        if message not in self._known:
            super().warn(message)

    @property
    def deployment(self) -> int:
        """The one that workers are made equal to by now."""
        return self._deployment

    def begun(self, deployed: Deployed) -> None:
        self._deployment = number_of(deployed.head)
        self.head = deployed.head.commit.id if deployed.head else ""

    def begins(self, workers: Sequence[str]) -> None:
        self._began = time.monotonic()
        self.tell(events.RolloutBegan(**self.here(), deployment=self._deployment, workers=tuple(workers)))

    def progress(self, worker: str, stage: Stage, detail: str = "") -> None:
        self.tell(
            events.WorkerProgressed(
                **self.here(),
                deployment=self._deployment,
                worker=worker,
                stage=stage,
                detail=detail,
            )
        )

    def observed(self, worker: str, observation: Observation) -> None:
        self._traffic(self.environment, worker, observation.traffic)

    def about_to_change(self, differences: Differences) -> None:
        self.tell(events.WorkerChanging(**self.here(), deployment=self._deployment, differences=differences))

    def stop_asked(self) -> bool:
        self._heart.beat()
        return self._stop()

    def ended(self, rollout: Rollout) -> None:
        self.interrupted = self.interrupted or rollout.interrupted
        self.tell(
            events.RolloutEnded(
                **self.here(),
                deployment=self._deployment,
                rollout=rollout,
                seconds=time.monotonic() - self._began,
            )
        )

    def reverted(self, revert: Revert) -> None:
        self._deployment, self.head = revert.deployment, revert.head.commit.id
        self.tell(
            events.Reverted(
                **self.here(),
                failed=revert.failed,
                by=revert.deployment,
                head=revert.head.commit.id,
                quarantines=revert.quarantines,
            )
        )

    def left_out(self, worker: TriedInVain) -> None:
        self.tell(
            events.WorkerLeftOut(
                **self.here(),
                deployment=self._deployment,
                worker=worker.worker,
                trouble=worker.trouble,
                tried=worker.deployment,
                attempts=worker.attempts,
                error=worker.error,
                last=worker.last,
                next=worker.next,
            )
        )

    def returned(self, workers: Collection[str]) -> None:
        for name in sorted(workers):
            self.note(f"{name} is back, and may take jobs again; what was moved away stays where it is")

    def given_up(self, found: GivenUp) -> None:
        for name, one in found.workers.items():
            self.warn(f"{name} is given up as lost: silent since {one.since}")
        for job, (origin, to) in found.moves.items():
            self.note(f"{job} moves from {origin} to {to}")
        if found.deployment is not None:
            self._deployment, self.head = found.deployment, found.head.commit.id

    def not_given_up(self, worker: str, reason: str) -> None:
        self.warn(f"{worker} is silent for too long, and nothing of it is moved: {reason}")
