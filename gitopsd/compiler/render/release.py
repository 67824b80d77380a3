"""All releases and records of an environment, as one Git tree.

The tree's id follows from the ids of what is in it; the text of a job is made, or made again, only when somebody asks
for it: because its worker's release changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from msgspec import Raw, Struct, to_builtins
from msgspec.structs import replace

from gitopsd.compiler.checks.machines import without_live_machines
from gitopsd.compiler.place import Placement
from gitopsd.compiler.render.draining import Departures, DrainingJob
from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.workflow import (
    JobFiles,
    LibraryOf,
    RenderedJob,
    RenderedWorkflow,
    WorkflowText,
    json_file,
    placement_file,
)
from gitopsd.model.artifacts import (
    FLEET_FILE,
    PLACEMENT_FOLDER,
    RELEASE_FILE,
    WORKERS_FOLDER,
    ArtifactState,
    FleetRecord,
    GroupRecord,
    PlacedWorker,
)
from gitopsd.model.memory import Memory, memory_key
from gitopsd.model.trees import FILE, TREE, BuiltTree, Graft, TreeEntry, TreeFile, build_tree

Kept = Mapping[str, Graft | TreeFile]
"""Files of the artifact branch that commands own, put back as they are, or as the operator has them now."""


class HeadTrees(Protocol):
    """Reads the releases at the artifact branch's head."""

    def release_ids(self) -> Mapping[str, str]:
        """Worker -> the id of its release."""
        ...

    def folder(self, release: str, name: str) -> Mapping[str, TreeEntry]:
        """What a folder at the top of a release holds."""
        ...


class _ReleaseId(Struct, frozen=True):
    """What is remembered of a release."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledWorkflow:
    """A workflow after rendering. `key` stands for everything that `rendered` follows from; `text` renders it anew."""

    name: str
    digest: str
    key: str
    rendered: RenderedWorkflow
    text: Callable[[], WorkflowText]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedRelease:
    """What one worker is to hold: the release's id, its jobs in the order of their names, those that drain included."""

    worker: str
    id: str
    jobs: tuple[RenderedJob, ...]

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those that any of its jobs needs."""
        return tuple(sorted({name for job in self.jobs for name in job.libraries}))


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """The rendered tree: `id` is that of its root, `releases` are by worker, `runtime` is the same for all of them.

    `library` gives what some of them have beside it.

    `workers` are those of the fleet and those that are leaving it. `held` are the workflows whose jobs are not this
    version's. `draining` are the jobs that drain on workers where they are not placed, by worker.
    """

    id: str
    environment: str
    releases: Mapping[str, RenderedRelease]
    runtime: BuiltTree
    library: LibraryOf
    workers: Mapping[str, PlacedWorker]
    workflows: Mapping[str, CompiledWorkflow]
    records: Mapping[str, TreeFile | Graft]
    held: Mapping[str, HeldWorkflow] = field(default_factory=dict)
    draining: Mapping[str, Sequence[DrainingJob]] = field(default_factory=dict)

    @cached_property
    def adapters(self) -> Mapping[str, str]:
        """Why each adapter job is there, by its name."""
        jobs = (job for workflow in self.workflows.values() for job in workflow.rendered.jobs)
        return {job.name: job.reason for job in jobs if job.reason}

    @cached_property
    def placement(self) -> Mapping[str, str]:
        """Job -> worker."""
        return {job.name: worker for worker, release in self.releases.items() for job in release.jobs if not job.drains}

    def schedules(self, workflow: str | None = None) -> dict[str, str]:
        """When each scheduled job runs, of one workflow or of all."""
        jobs = (job for release in self.releases.values() for job in release.jobs if workflow in {None, job.workflow})
        return {job.name: str(job.record["schedule"]) for job in jobs if len(job.units) > 1}

    def files(self, job: RenderedJob) -> JobFiles:
        """The files of a job by path in its release."""
        if job.drains:
            return next(one.files() for one in self.draining[job.worker] if one.job == job)
        return self.workflows[job.workflow].text().files[job.name]

    def tree(self, head: HeadTrees | None = None) -> BuiltTree:
        """The tree to be committed. What the head has already is grafted; without a head everything is in it."""
        before = dict(head.release_ids()) if head else {}
        files: dict[str, TreeFile | Graft] = dict(self.records)
        for name, workflow in self.workflows.items():
            files[_placement_path(name)] = placement_file(workflow.digest, workflow.rendered.jobs)
        for worker, release in self.releases.items():
            if before.get(worker) == release.id:
                files[f"{WORKERS_FOLDER}/{worker}"] = Graft(id=release.id)
                continue
            prefix = f"{WORKERS_FOLDER}/{worker}/"
            old = before.get(worker)
            jobs = head.folder(old, "jobs") if head and old else {}
            units = head.folder(old, "units") if head and old else {}
            for job in release.jobs:
                for path, file in self._job_entries(job, jobs, units):
                    files[prefix + path] = file
            own = release_files(self.environment, release, self.runtime.id, self.library)
            files |= {prefix + path: file for path, file in own}
        names = {name for release in self.releases.values() for name in release.libraries}
        return with_shared(build_tree(files), [self.runtime, *map(self.library, sorted(names))])

    def _job_entries(
        self, job: RenderedJob, jobs: Mapping[str, TreeEntry], units: Mapping[str, TreeEntry]
    ) -> Iterator[tuple[str, TreeFile | Graft]]:
        has_units = all(units.get(name) == (FILE, blob) for name, blob in job.units)
        if jobs.get(job.name) == (TREE, job.tree) and has_units:
            yield f"jobs/{job.name}", Graft(id=job.tree)
            for name, blob in job.units:
                yield f"units/{name}", Graft(id=blob, mode=FILE)
        else:
            yield from self.files(job).items()


def assemble(
    environment: str,
    workflows: Sequence[CompiledWorkflow],
    placement: Placement,
    *,
    groups: Mapping[str, GroupRecord],
    state: ArtifactState,
    runtime: BuiltTree,
    library: LibraryOf,
    kept: Kept,
    memory: Memory,
    held: Mapping[str, HeldWorkflow],
    departures: Departures | None = None,
) -> Rendering:
    """Every worker's release, and the tree of all of them with the records. `held` are among the workflows."""
    workers = _workers_with_leaving(placement, state)
    draining = departures.draining(workflows, workers) if departures else {}
    workers = {
        name: replace(worker, draining=tuple(sorted(one.job.name for one in draining.get(name, ()))))
        for name, worker in workers.items()
    }
    jobs: dict[str, list[tuple[RenderedJob, str]]] = {name: [] for name in workers}
    for workflow in workflows:
        for job in workflow.rendered.jobs:
            jobs[job.worker].append((job, workflow.key))
    for worker, leaving in draining.items():
        jobs[worker] += [(one.job, one.key) for one in leaving]
    releases = {
        worker: _release(environment, worker, of_worker, runtime=runtime, library=library, memory=memory)
        for worker, of_worker in jobs.items()
    }
    records = {name: replace(worker, name="") for name, worker in workers.items()}
    fleet = FleetRecord(workers=records, groups=dict(sorted(groups.items())))
    files: dict[str, TreeFile | Graft] = {**kept, FLEET_FILE: json_file(to_builtins(fleet))}
    root: dict[str, TreeFile | Graft] = dict(files)
    for workflow in workflows:
        root[_placement_path(workflow.name)] = Graft(id=workflow.rendered.placement, mode=FILE)
    for worker, release in releases.items():
        root[f"{WORKERS_FOLDER}/{worker}"] = Graft(id=release.id)
    return Rendering(
        id=build_tree(root).id,
        environment=environment,
        releases=releases,
        runtime=runtime,
        library=library,
        workers=workers,
        workflows={workflow.name: workflow for workflow in workflows},
        records=files,
        held=held,
        draining=draining,
    )


def with_shared(tree: BuiltTree, shared: Sequence[BuiltTree]) -> BuiltTree:
    """The tree with what several releases have in common, which is grafted into each, added once."""
    return BuiltTree(
        id=tree.id,
        entries=tree.entries,
        objects={**{key: found for one in shared for key, found in one.objects.items()}, **tree.objects},
        grafts=tree.grafts - {one.id for one in shared if one.objects},
    )


def _release(
    environment: str,
    worker: str,
    jobs: Sequence[tuple[RenderedJob, str]],
    *,
    runtime: BuiltTree,
    library: LibraryOf,
    memory: Memory,
) -> RenderedRelease:
    ordered = sorted(jobs, key=lambda pair: pair[0].name)
    release = RenderedRelease(worker=worker, id="", jobs=tuple([job for job, _ in ordered]))
    names, keys = [job.name for job in release.jobs], [key for _, key in ordered]
    key = memory_key("release", environment, worker, runtime.id, names, keys)
    known = memory.recall(key, _ReleaseId)
    if known is None:
        known = _ReleaseId(build_tree(grafted_release(environment, release, runtime.id, library)).id)
        memory.keep(key, known)
    return RenderedRelease(worker=worker, id=known.id, jobs=release.jobs)


def grafted_release(
    environment: str, release: RenderedRelease, runtime: str, library: LibraryOf
) -> dict[str, TreeFile | Graft]:
    """A release whose jobs, units and runtime the repository holds already, path by path."""
    files: dict[str, TreeFile | Graft] = dict(release_files(environment, release, runtime, library))
    for job in release.jobs:
        files[f"jobs/{job.name}"] = Graft(id=job.tree)
        for unit, blob in job.units:
            files[f"units/{unit}"] = Graft(id=blob, mode=FILE)
    return files


def release_files(
    environment: str, release: RenderedRelease, runtime: str, library: LibraryOf
) -> Iterator[tuple[str, TreeFile | Graft]]:
    """What a release holds besides its jobs. `runtime` is the id of the runner's folder."""
    libraries = {name: library(name).id for name in release.libraries}
    record = {
        "format": 1,
        "worker": release.worker,
        "environment": environment,
        "runtime": runtime if release.jobs else None,
        **({"libraries": libraries} if libraries else {}),
        "jobs": {job.name: Raw(job.entry) for job in release.jobs},
    }
    yield RELEASE_FILE, json_file(record)
    if release.jobs:
        yield "runtime", Graft(id=runtime)
    for name, tree in libraries.items():
        yield f"libraries/{name}", Graft(id=tree)


def _placement_path(workflow: str) -> str:
    return f"{PLACEMENT_FOLDER}/{workflow}.json"


def _workers_with_leaving(placement: Placement, state: ArtifactState) -> dict[str, PlacedWorker]:
    """The fleet, and those that left it: they are given an empty release, so that nothing goes on running there."""
    gone = {name: worker for name, worker in state.fleet.items() if name not in placement.workers}
    leaving = without_live_machines(gone, placement.workers)
    marked = {name: replace(worker, leaving=True) for name, worker in leaving.items()}
    return dict(sorted({**placement.workers, **marked}.items()))
