"""Which jobs drain: those that leave a worker where events are stored that nobody else would read.

A reader of a durable channel drains when nothing in the new version reads on in its name, and nothing is written to the
channel for other steps: then the channel ends, and what it holds is read to the end. So does whoever the reader hands
its events to on the same worker. Where such a job goes on in another form, its earlier form drains beside it, under a
name of its own. Everything else may simply stop: batches are acknowledged end to end, so what was
under way is with its source.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

from gitopsd.compiler.expand import LONGEST_JOB
from gitopsd.compiler.render.draining import DrainingJob, Rendered, draining, earlier_form
from gitopsd.compiler.render.release import Rendering
from gitopsd.compiler.render.workflow import JobFiles, RenderedJob
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.planner.plan.fates import same_machine, sees_same
from gitopsd.planner.plan.job_document import End, JobDocument, read_document, read_end
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

    `records`: workflow -> the blob id of its placement record: the same one means that none of its jobs changed.
    `lost` workers are left alone. `seconds`: worker -> how long a job may drain there; 0 where none does.
    """

    before: DeployedJobs
    placement: Mapping[str, str]
    records: Mapping[str, str]
    fleet: Mapping[str, PlacedWorker]
    seconds: Callable[[str], int]
    drained: Mapping[str, Collection[str]] = field(default_factory=dict)
    lost: Collection[str] = ()

    def draining(
        self, workflows: Sequence[Rendered], workers: Mapping[str, PlacedWorker]
    ) -> Mapping[str, Sequence[DrainingJob]]:
        """By worker, in the order of their names. `workers` are those that the new version has releases for."""
        placed = {job.name: job.worker for workflow in workflows for job in workflow.rendered.jobs}
        begun = _by_workflow(self._still_draining(placed, workers))
        left = _by_workflow(
            (job, worker)
            for job, worker in self.placement.items()
            if placed.get(job) != worker and self._may_drain(worker, workers)
        )
        by_name = {workflow.name: workflow for workflow in workflows}
        differing = {name for name, one in by_name.items() if self.records.get(name) != one.rendered.placement}
        found: dict[str, list[DrainingJob]] = {}
        for name in sorted({*begun, *left, *(differing & self.records.keys())}):
            changed = self._changed(by_name[name], workers) if name in differing else ()
            departure = Departure(
                deployment=self,
                workflow=name,
                after=by_name.get(name),
                workers=workers,
                gone=frozenset(left.get(name, ())),
                begun=frozenset(begun.get(name, ())),
                changed=frozenset(changed),
            )
            for worker, job in departure.draining():
                found.setdefault(worker, []).append(job)
        return {worker: sorted(jobs, key=lambda one: one.job.name) for worker, jobs in sorted(found.items())}

    def _may_drain(self, worker: str, workers: Collection[str]) -> bool:
        return worker in workers and worker not in self.lost and self.seconds(worker) > 0

    def _changed(self, workflow: Rendered, workers: Collection[str]) -> Iterator[Place]:
        """Jobs that stay where they are, and are made of something else now."""
        for job in workflow.rendered.jobs:
            if self.placement.get(job.name) == job.worker and self._may_drain(job.worker, workers):
                known = self.before.jobs(job.worker).get(job.name)
                if known is not None and known.tree != job.tree:
                    yield job.name, job.worker

    def _still_draining(self, placed: Mapping[str, str], workers: Collection[str]) -> Iterator[Place]:
        """Those that drain already, have not ended, and didn't come back."""
        for worker, known in self.fleet.items():
            for job in known.draining if worker in workers else ():
                if placed.get(job) != worker and job not in self.drained.get(worker, ()):
                    found = self.before.jobs(worker).get(job)
                    if found is not None and found.drains:
                        yield job, worker


def _by_workflow(places: Iterable[Place]) -> Mapping[str, Sequence[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place[0].partition(".")[0], []).append(place)
    return found


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The jobs of one workflow: as they are deployed, and as the new version has them, if it has them.

    `gone` leave their workers, `changed` stay and are made of something else, `begun` drain already.
    """

    deployment: Deployment
    workflow: str
    after: Rendered | None
    workers: Mapping[str, PlacedWorker]
    gone: frozenset[Place]
    begun: frozenset[Place]
    changed: frozenset[Place]

    def draining(self) -> Iterator[tuple[str, DrainingJob]]:
        """Each with its worker; nothing of a reader that can't hand on what it reads."""
        deployment = self.deployment
        going_on = frozenset(filter(self._goes_on, self.begun))
        for job, worker in sorted(going_on):
            yield worker, DrainingJob(job=self._known(job, worker), files=partial(self._files, job, worker))
        chosen: dict[Place, None] = {}
        for place in [*sorted(going_on), *filter(self._leaves_something, sorted(self.gone | self.changed))]:
            chosen |= dict.fromkeys(self._with_consumers(place) or ())
        for job, worker in chosen.keys() - self.begun:
            known, files = self._known(job, worker), self._files(job, worker)
            if (job, worker) in self.changed:
                name = self._free_name(job, worker)
                known, files = earlier_form(known, files, name, partial(self._is_left_to, worker))
            yield worker, draining(known, files, deployment.seconds(worker))

    def _with_consumers(self, place: Place) -> tuple[Place, ...] | None:
        """The job and all that it hands events to over `worker` channels; None where one of those can't go on."""
        ahead = [place]
        for job, worker in ahead:
            document = self._document(job, worker)
            if (job, worker) not in self.begun and document.kind != "service":
                return None
            if (job, worker) in self.changed and not (document.role and self._free_name(job, worker)):
                return None  # beside its next form a program of one's own may want the same port, or file
            for socket in (socket for end in document.outputs for socket in end.sockets):
                if self._is_heard(socket, worker):
                    continue
                listener = self._listener(socket, worker)
                if listener is None or listener not in self.gone | self.begun | self.changed:
                    return None
                if listener not in ahead:
                    ahead.append(listener)
        return tuple(ahead)

    def _goes_on(self, place: Place) -> bool:
        """Of one that drains already: unless somebody reads there again for its step, who goes on from where it is."""
        job, worker = place
        stored = [end for end in self._document(job, worker).inputs if end.reads_for]
        return not stored or not all(self._is_read_on(end, worker) for end in stored)

    def _leaves_something(self, place: Place) -> bool:
        job, worker = place
        document = self._document(job, worker)
        return document.kind == "service" and any(self._is_left(end, worker) for end in document.inputs)

    def _is_left(self, end: End, worker: str) -> bool:
        """Whether events are stored there that nobody of the new version reads, nor writes more to."""
        return bool(end.reads_for) and not self._is_read_on(end, worker) and not self._is_written(end, worker)

    def _is_left_to(self, worker: str, told: Mapping[str, Any]) -> bool:
        """Whether the end of a changed job is for its earlier form: what its next one doesn't read."""
        end = read_end(told)
        return self._is_left(end, worker) if end.place else not self._is_heard(end.socket, worker)

    def _is_read_on(self, end: End, worker: str) -> bool:
        return any(
            new.meets(end) and new.reads_for == end.reads_for and self._sees(end, worker, other)
            for _, other, document in self._new
            for new in document.inputs
        )

    def _is_written(self, end: End, worker: str) -> bool:
        return any(
            new.meets(end) and self._sees(end, worker, other)
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

    def _free_name(self, job: str, worker: str) -> str:
        """For its earlier form beside it; empty where there is none."""
        step, _, replica = job.rpartition(".")
        taken = {*self.deployment.before.jobs(worker), *(name for name, other, _ in self._new if other == worker)}
        names = (f"{step}-was{number}.{replica}" for number in ("", "2", "3"))
        return next((name for name in names if name not in taken and len(name) <= LONGEST_JOB), "")

    def _known(self, job: str, worker: str) -> RenderedJob:
        return self.deployment.before.jobs(worker)[job]

    def _files(self, job: str, worker: str) -> JobFiles:
        return self.deployment.before.files(self._known(job, worker))

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
        known = self._documents.get((job, worker))
        if known is None:
            here = job in self.deployment.before.jobs(worker)
            known = read_document(self._files(job, worker)[document_path(job)].data) if here else JobDocument()
            self._documents[job, worker] = known
        return known

    @cached_property
    def _documents(self) -> dict[Place, JobDocument]:
        return {}
