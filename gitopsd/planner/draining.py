"""Which jobs drain: those that leave a worker where events are stored that nobody else would read.

A reader of a durable channel drains when nothing in the new version reads on in its name, and nothing is written to the
channel for other steps: then the channel ends, and what it holds is read to the end. So does whoever the reader hands
its events to on the same worker. Everything else may simply stop: batches are acknowledged end to end, so what was
under way is with its source.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from gitopsd.compiler.render.draining import DrainingJob, Rendered, draining
from gitopsd.compiler.render.release import Rendering
from gitopsd.compiler.render.workflow import JobFiles, RenderedJob
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.planner.plan.fates import same_machine, sees_same
from gitopsd.planner.plan.job_document import End, JobDocument, read_document
from gitopsd.planner.plan.sides import document_path

Place = tuple[str, str]
"""A job and its worker."""


class DeployedJobs(Protocol):
    """Reads jobs as they are deployed."""

    def jobs(self, worker: str) -> Mapping[str, RenderedJob]:
        """Those of the worker's release, the ones that drain included."""
        ...

    def files(self, job: RenderedJob) -> JobFiles: ...


@dataclass(frozen=True, slots=True)
class JobsOfRendering:
    """DeployedJobs of what was rendered before."""

    rendering: Rendering

    def jobs(self, worker: str) -> Mapping[str, RenderedJob]:
        release = self.rendering.releases.get(worker)
        return {job.name: job for job in release.jobs} if release else {}

    def files(self, job: RenderedJob) -> JobFiles:
        return self.rendering.files(job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is deployed. `placement`: job -> worker. `drained`: worker -> jobs that drained there and have ended.

    `lost` workers are left alone. `seconds`: worker -> how long a job may drain there; 0 where none does.
    """

    before: DeployedJobs
    placement: Mapping[str, str]
    fleet: Mapping[str, PlacedWorker]
    seconds: Callable[[str], int]
    drained: Mapping[str, Collection[str]] = field(default_factory=dict)
    lost: Collection[str] = ()

    def draining(
        self, workflows: Sequence[Rendered], workers: Mapping[str, PlacedWorker]
    ) -> Mapping[str, Sequence[DrainingJob]]:
        """By worker, in the order of their names. `workers` are those that the new version has releases for."""
        placed = {job.name: job.worker for workflow in workflows for job in workflow.rendered.jobs}
        staying = self._still_draining(placed, workers)
        gone = [
            (job, worker)
            for job, worker in self.placement.items()
            if placed.get(job) != worker and worker in workers and worker not in self.lost and self.seconds(worker)
        ]
        found: dict[str, list[DrainingJob]] = {}
        by_name = {workflow.name: workflow for workflow in workflows}
        begun, left = _by_workflow(staying), _by_workflow(gone)
        for name in sorted({*begun, *left}):
            of_workflow = _Departure(self, name, by_name.get(name), workers)
            for job, worker in begun.get(name, ()):
                found.setdefault(worker, []).append(self._as_it_is(worker, job))
            for job, worker in of_workflow.draining(left.get(name, ()), begun.get(name, ())):
                known = self.before.jobs(worker)[job]
                found.setdefault(worker, []).append(draining(known, self.before.files(known), self.seconds(worker)))
        return {worker: sorted(jobs, key=lambda one: one.job.name) for worker, jobs in sorted(found.items())}

    def _still_draining(self, placed: Mapping[str, str], workers: Mapping[str, PlacedWorker]) -> list[Place]:
        """Those that drain already, have not ended, and didn't come back."""
        return [
            (job, worker)
            for worker, known in self.fleet.items()
            for job in known.draining
            if worker in workers
            and placed.get(job) != worker
            and job not in self.drained.get(worker, ())
            and (found := self.before.jobs(worker).get(job)) is not None
            and found.drains
        ]

    def _as_it_is(self, worker: str, job: str) -> DrainingJob:
        known = self.before.jobs(worker)[job]
        return DrainingJob(job=known, files=lambda: self.before.files(known))


def _by_workflow(places: Sequence[Place]) -> Mapping[str, Sequence[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place[0].partition(".")[0], []).append(place)
    return found


@dataclass(frozen=True)
class _Departure:
    """The jobs of one workflow: as they are deployed, and as the new version has them, if it has them."""

    deployment: Deployment
    workflow: str
    after: Rendered | None
    workers: Mapping[str, PlacedWorker]

    def draining(self, gone: Sequence[Place], begun: Sequence[Place]) -> Iterator[Place]:
        """Of those that are `gone`; `begun` drain already, and may need others to hand their events to."""
        chosen: dict[Place, None] = {}
        known, leaving = frozenset(begun), frozenset(gone)
        for place in [*begun, *filter(self._leaves_something, gone)]:
            chosen |= dict.fromkeys(self._with_consumers(place, leaving, known) or ())
        yield from (place for place in chosen if place not in known)

    def _with_consumers(
        self, place: Place, gone: frozenset[Place], begun: frozenset[Place]
    ) -> tuple[Place, ...] | None:
        """The job and all that it hands events to over `worker` channels; None where one of those can't go on."""
        found: list[Place] = []
        ahead = [place]
        for job, worker in ahead:
            if (job, worker) not in begun and self._document(job, worker).kind != "service":
                return None
            found.append((job, worker))
            for end in self._document(job, worker).outputs:
                for socket in end.sockets:
                    if self._is_heard(socket, worker):
                        continue
                    listener = self._listener(socket, worker)
                    if listener is None or listener not in gone | begun:
                        return None
                    if listener not in ahead:
                        ahead.append(listener)
        return tuple(found)

    def _leaves_something(self, place: Place) -> bool:
        job, worker = place
        document = self._document(job, worker)
        return document.kind == "service" and any(
            end.reads_for and not self._is_read_on(end, worker) and not self._is_written(end, worker)
            for end in document.inputs
        )

    def _is_read_on(self, end: End, worker: str) -> bool:
        return any(
            new.place == end.place and new.reads_for == end.reads_for and self._sees(end, worker, other)
            for _, other, document in self._new
            for new in document.inputs
        )

    def _is_written(self, end: End, worker: str) -> bool:
        return any(
            new.place == end.place and self._sees(end, worker, other)
            for _, other, document in self._new
            for new in document.outputs
        )

    def _sees(self, end: End, worker: str, other: str) -> bool:
        """Whether what one worker sees there is what the other one does."""
        one, another = self.deployment.fleet.get(worker), self.workers.get(other)
        return not end.path or same_machine(one, another) or sees_same(end.path, one, another)

    def _is_heard(self, socket: str, worker: str) -> bool:
        """Whether a job of the new version listens there."""
        return any(other == worker and socket == end.socket for _, other, one in self._new for end in one.inputs)

    def _listener(self, socket: str, worker: str) -> Place | None:
        own = (job for job in self.deployment.before.jobs(worker) if job.partition(".")[0] == self.workflow)
        listening = (job for job in own if any(end.socket == socket for end in self._document(job, worker).inputs))
        return next(((job, worker) for job in listening), None)

    @cached_property
    def _new(self) -> Sequence[tuple[str, str, JobDocument]]:
        """Each job of the new version, its worker, and what it is told."""
        if self.after is None:
            return ()
        files = self.after.text().files
        return [
            (job.name, job.worker, read_document(files[job.name][document_path(job.name)].data))
            for job in self.after.rendered.jobs
        ]

    def _document(self, job: str, worker: str) -> JobDocument:
        known = self.deployment.before.jobs(worker).get(job)
        if known is None:
            return JobDocument()
        key = (job, worker)
        if key not in self._documents:
            files = self.deployment.before.files(known)
            self._documents[key] = read_document(files[document_path(job)].data)
        return self._documents[key]

    @cached_property
    def _documents(self) -> dict[Place, JobDocument]:
        return {}
