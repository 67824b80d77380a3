"""What jobs print: a job's log, or those of all replicas of a step, wherever they are deployed."""

import threading
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.errors import ControllerError, explain
from gitopsd.daemon.fleet_access import deployed_targets, reach, reach_all
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import verbs
from gitopsd.fleet.connection import WorkerConnection
from gitopsd.fleet.fanout import Failed
from gitopsd.fleet.target import Target
from gitopsd.model.names import did_you_mean

_LOGS_SECONDS = 60.0
# of an interrupted stream: to close its connection, so that nothing stays on the worker
_END_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    job: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLog:
    """Why there is nothing, or nothing more, of these jobs."""

    jobs: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedJobs:
    """Jobs by the worker that they are deployed to."""

    targets: tuple[Target, ...]
    jobs: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(name for names in self.jobs.values() for name in names))


def find_logged_jobs(workspace: Workspace, name: str) -> LoggedJobs:
    """The job of that name, or the replicas of the step, with or without its workflow.

    Raises ControllerError where nothing of it is deployed.
    """
    deployed = open_deployed(workspace)
    if deployed.head is None:
        raise ControllerError(f"nothing is deployed to {deployed.branch.environment} yet", "`gitopsd apply` deploys")
    workers = desired_releases(workspace.repository, deployed.head.commit.tree)
    placed = {
        job: worker
        for drains in (True, False)  # where a job is placed counts for more
        for worker, release in workers.items()
        for job, known in release.record.jobs.items()
        if (known.draining is not None) == drains
    }
    wanted = [name] if name in placed else _replicas(name, placed)
    jobs: dict[str, tuple[str, ...]] = {}
    for job in wanted:
        jobs[placed[job]] = (*jobs.get(placed[job], ()), job)
    return LoggedJobs(
        targets=tuple(deployed_targets(workspace, deployed.branch, deployed.head, jobs)),
        jobs=jobs,
    )


def _replicas(name: str, placed: Collection[str]) -> list[str]:
    """The jobs of the step `<workflow>.<step>`, or of `<step>` where only one workflow has one of that name.

    Raises ControllerError.
    """
    steps = {job.rpartition(".")[0] for job in placed}
    meant = {name} & steps or {step for step in steps if step.partition(".")[2] == name}
    if len(meant) > 1:
        raise ControllerError(f"several workflows have a step `{name}`", f"name one: {', '.join(sorted(meant))}")
    if not meant:
        short = {step.partition(".")[2] for step in steps}
        raise ControllerError(f"no job or step `{name}` is deployed", did_you_mean(name, {*placed, *steps, *short}))
    return sorted(job for job in placed if job.rpartition(".")[0] in meant)


def read_logs(workspace: Workspace, logged: LoggedJobs, lines: int) -> Generator[LogLine | NoLog]:
    """The last lines of each job, job by job."""

    def read(connection: WorkerConnection) -> list[LogLine]:
        return [
            LogLine(job=job, text=text)
            for job in logged.jobs[connection.target.name]
            for text in verbs.logs(connection, job, lines).lines
        ]

    found: list[LogLine] = []
    for outcome in reach_all(workspace, logged.targets, read, deadline=_LOGS_SECONDS):
        if isinstance(outcome, Failed):
            yield NoLog(jobs=logged.jobs[outcome.worker], error=explain(outcome.error))
        else:
            found += outcome.result
    yield from sorted(found, key=lambda line: line.job)


def follow_logs(workspace: Workspace, logged: LoggedJobs, lines: int) -> Generator[LogLine | NoLog]:
    """The last lines of each job and then every new one, in the order in which they arrive, without an end.

    A job whose log breaks off is told as NoLog, and the others go on; after the last one this ends. Leaving the
    iterator closes the connections.
    """
    stop = threading.Event()
    arrived: SimpleQueue[LogLine | NoLog] = SimpleQueue()

    def follow(target: Target, job: str) -> None:
        try:
            with reach(workspace, target) as connection:
                for text in connection.follow(job, lines, stop):
                    arrived.put(LogLine(job=job, text=text))
            error = "it was stopped"
        except Exception as failed:  # noqa: BLE001 -- the one catch-all of this fan-out: others must go on
            error = explain(failed)
        arrived.put(NoLog(jobs=(job,), error=error))

    threads = [
        # daemons: a worker that hangs must not keep an interrupted command from ending
        threading.Thread(target=follow, args=(target, job), name=f"follow {job}", daemon=True)
        for target in logged.targets
        for job in logged.jobs[target.name]
    ]
    try:
        yield from _started(threads, arrived)
    finally:
        stop.set()
        end = time.monotonic() + _END_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))


def _started(threads: Sequence[threading.Thread], arrived: SimpleQueue[LogLine | NoLog]) -> Iterator[LogLine | NoLog]:
    for thread in threads:
        thread.start()
    following = len(threads)
    while following:
        one = arrived.get()
        following -= isinstance(one, NoLog)
        yield one
