"""Drives a rollout: asks who may be begun, has it done on other threads, and sees what comes of it."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from gitopsd.daemon.artifacts.control import KnownPause
from gitopsd.daemon.convergence.result import State, WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import RolloutReporter
from gitopsd.daemon.convergence.rollout_summary import Rollout, jobs_that_failed, workflow_of
from gitopsd.daemon.convergence.worker_run import Checking, Differs
from gitopsd.daemon.errors import explain
from gitopsd.daemon.fleet_access import is_away, stage_of
from gitopsd.daemon.rollout.crew import Crew, Done
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.fleet.fanout import THREADS
from gitopsd.planner.rollout.decide import Decision, Phase, Standing, decide
from gitopsd.planner.rollout.groups import RolloutGroup

Step = Literal["look", "change", "check"]

_STEP_SECONDS: Mapping[Step, float] = {"look": 150.0, "change": 480.0, "check": 150.0}
"""Each step has deadlines of its own, which add up to less: this is for a thread that none of them gets back.

A change may last its group's `confirm_timeout` longer, while the worker is cut off.
"""

_TICK_SECONDS = 0.2
_ENDING_SECONDS, _INTERRUPTED_SECONDS = 30.0, 10.0
"""How long those that are being changed are waited for: so that they are confirmed, and not undone again."""

_NOBODY: Mapping[str, Standing] = MappingProxyType({})
_IN_NO_ORDER: Mapping[str, Collection[str]] = MappingProxyType({})

_FAILED_ON_TRIAL = Standing(phase="failed", new=True)


class WorkerSteps(Protocol):
    """What a WorkerRun has for whoever drives it."""

    @property
    def touched(self) -> bool: ...

    @property
    def changed_jobs(self) -> tuple[str, ...]: ...

    def look(self) -> WorkerResult | Differs: ...

    def change(self) -> WorkerResult | Checking: ...

    def check(self) -> WorkerResult | Checking: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    worker: str
    step: Step
    end: float


class RolloutRun:
    """`workers` has the run of each worker of the groups.

    `find_newer`: the number of a newer deployment, or a pause that began; None where nothing ends this one.
    `left_out`: the workers that aren't tried in this run, with how they stood the last time; they count all the same.
    `failed_before`: those on which this very deployment failed, which is so until they are seen well.
    `begun_after`: worker -> those that must have come to their end before it is begun.
    """

    def __init__(
        self,
        groups: Sequence[RolloutGroup],
        reporter: RolloutReporter,
        find_newer: Callable[..., int | KnownPause | None],
        left_out: Mapping[str, Standing] = _NOBODY,
        failed_before: Collection[str] = (),
        *,
        begun_after: Mapping[str, Collection[str]] = _IN_NO_ORDER,
    ) -> None:
        self.workers: Mapping[str, WorkerSteps] = {}
        self._groups = groups
        self._settings = {name: group.settings for group in groups for name in group.workers}
        self._reporter = reporter
        self._find_newer = find_newer
        self._failed_before = frozenset(failed_before)
        self._begun_after = begun_after
        self._standings = {
            name: left_out.get(name, Standing(new=name in self._failed_before))
            for group in groups
            for name in group.workers
        }
        self._results: dict[str, WorkerResult] = {}
        self._tasks: dict[int, _Task] = {}
        self._crew: Crew[WorkerResult | Differs | Checking] = Crew(THREADS)
        self._decision = Decision()
        self._ended_by: int | KnownPause | None = None
        self._interrupted = False

    @property
    def is_ending(self) -> bool:
        """Whether it ends early: nothing more is begun."""
        return self._interrupted or self._ended_by is not None

    def results(self) -> Iterator[WorkerResult]:
        """Until all is over, or it ends early."""
        try:
            for name in self.workers:
                self._give(name, "look")
            while not self._is_over():
                for result in self._step():
                    self._results[result.worker] = result
                    yield result
            yield from self._finish()
        finally:
            self._interrupted = self._interrupted or bool(self._tasks and self._ended_by is None)
            self._crew.dismiss()

    def summary(self, workers: Sequence[str] | Mapping[str, object]) -> Rollout:
        """What it came to by now, over these workers."""
        begun = {name for name, known in self._standings.items() if known.phase == "changing"}
        missing = sorted(set(workers) - set(self._results))
        failed = {name: found for name, found in self._results.items() if found.state in {"failed", "rolled-back"}}
        at_fault = {name: self._jobs_at_fault(name, result) for name, result in self._results.items()}
        on_trial = sorted(name for name in self._results if self._standings[name] == _FAILED_ON_TRIAL)
        return Rollout(
            results=tuple(self._results.values()),
            not_attempted=tuple(name for name in missing if name not in begun),
            unfinished=tuple(name for name in missing if name in begun),
            stopped=dict(self._decision.stopped),
            superseded_by=self._ended_by if isinstance(self._ended_by, int) else None,
            paused=f"{self._ended_by.owner}: {self._ended_by.reason}" if isinstance(self._ended_by, KnownPause) else "",
            interrupted=self._interrupted,
            failed=tuple(on_trial),
            failed_jobs={name: jobs for name, found in failed.items() if (jobs := jobs_that_failed(found))},
            failed_workflows=_workflows(at_fault[name] for name in failed),
            to_revert=_workflows(
                at_fault[name] for name in on_trial if self._settings[name].auto_revert and not self.is_ending
            ),
        )

    def _is_over(self) -> bool:
        if self.is_ending:
            return True
        self._decision = decide(self._groups, self._standings, self._begun_after)
        for name in self._decision.start:
            self._standings[name] = Standing(phase="changing", new=self._standings[name].new)
            self._give(name, "change")
        return self._decision.over and not self._tasks

    def _step(self) -> Iterator[WorkerResult]:
        """Waits a moment for something to happen, and says what worker has come to its end by it."""
        done = self._crew.next(_TICK_SECONDS)
        if self._reporter.stop_asked():
            self._interrupted = True
        elif self._ended_by is None:
            self._ended_by = self._find_newer()
        yield from self._overdue()
        if done is not None:
            yield from self._after(done)

    def _finish(self) -> Iterator[WorkerResult]:
        """What is being changed when it ends early comes to where it isn't undone again."""
        end = time.monotonic() + (_INTERRUPTED_SECONDS if self._interrupted else _ENDING_SECONDS)
        while any(task.step == "change" for task in self._tasks.values()) and time.monotonic() < end:
            done = self._crew.next(min(_TICK_SECONDS, max(0.0, end - time.monotonic())))
            if done is not None:
                for result in self._after(done):
                    self._results[result.worker] = result
                    yield result

    def _after(self, done: Done[WorkerResult | Differs | Checking]) -> Iterator[WorkerResult]:
        task = self._tasks.pop(done.task, None)
        if task is None:
            return  # it was given up
        name = task.worker
        if done.error is not None:
            if self._is_superseded(done.error):
                return
            yield self._failed(name, done.error)
            return
        match done.value:
            case WorkerResult() as result:
                self._stand(name, self._phase(name, result))
                yield result
            case Differs(new=new):
                self._standings[name] = Standing(phase="waiting", new=new)
                self._reporter.progress(name, "waiting")
            case Checking() if not self.is_ending:
                self._give(name, "check")

    def _is_superseded(self, error: Exception) -> bool:
        """Whether a worker was given something newer: by another controller, of whose branch we may not know yet."""
        if not isinstance(error, WorkerRefused) or error.code != "stale":
            return False
        self._ended_by = self._ended_by or self._find_newer(at_once=True)
        return self._ended_by is not None

    def _failed(self, name: str, error: Exception) -> WorkerResult:
        state: State = "unreachable" if is_away(error) else "failed"
        result = WorkerResult(worker=name, state=state, error=explain(error), stage=stage_of(error))
        self._stand(name, self._phase(name, result))
        return result

    def _phase(self, name: str, result: WorkerResult) -> Phase:
        """A worker that was touched and can't be reached since has failed, as far as the version is concerned.

        Whether it was touched in this run or in one before.
        """
        match result.state:
            case "in-sync" | "drift":
                return "in-sync"
            case "converged":
                return "healthy"
            case "failed" | "rolled-back" | "unreachable":
                return "failed" if self.workers[name].touched or name in self._failed_before else "away"

    def _overdue(self) -> Iterator[WorkerResult]:
        now = time.monotonic()
        for number, task in list(self._tasks.items()):
            if now > task.end:
                del self._tasks[number]
                self._crew.give_up_one()
                message = (
                    f"{task.worker}: had not ended after {self._seconds(task.worker, task.step):g} s: run again for it"
                )
                yield self._failed(task.worker, WorkerUnreachable(task.worker, "read", message))

    def _give(self, name: str, step: Step) -> None:
        run = self.workers[name]
        function: Callable[[], WorkerResult | Differs | Checking] = {
            "look": run.look,
            "change": run.change,
            "check": run.check,
        }[step]
        # tasks wait for a thread too: of many workers the last one's time hasn't begun yet
        rounds = 1 + len(self._tasks) // THREADS
        end = time.monotonic() + rounds * self._seconds(name, step)
        self._tasks[self._crew.give(function)] = _Task(worker=name, step=step, end=end)

    def _seconds(self, name: str, step: Step) -> float:
        return _STEP_SECONDS[step] + (self._settings[name].confirm_timeout if step == "change" else 0.0)

    def _stand(self, name: str, phase: Phase) -> None:
        self._standings[name] = Standing(phase=phase, new=self._standings[name].new)

    def _jobs_at_fault(self, name: str, result: WorkerResult) -> tuple[str, ...]:
        """Those that failed; all that were to change where the worker failed as a whole."""
        return tuple(result.failures) or self.workers[name].changed_jobs


def _workflows(jobs: Iterator[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted({workflow_of(job) for of_worker in jobs for job in of_worker}))
