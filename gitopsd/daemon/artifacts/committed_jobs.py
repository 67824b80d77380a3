"""Jobs as the artifact branch has them: what was rendered once, read back."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from gitopsd.compiler.render.workflow import RenderedJob, RenderedWorkflow, WorkflowText
from gitopsd.daemon.artifacts.state import read_placement_record
from gitopsd.model.artifacts import LIBRARIES_FOLDER, PLACEMENT_FOLDER, RELEASE_FILE, WORKERS_FOLDER, PlacementRecord
from gitopsd.model.not_json import NOT_JSON
from gitopsd.model.release import ReleaseRecord
from gitopsd.model.trees import EXECUTABLE, FILE, TREE, TreeFile
from gitopsd.repo.artifacts import find_entry, list_files, list_folder, read_file
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedRelease:
    """One worker's release: the id of its runner's folder, empty where it has none, and its jobs.

    `libraries` are the ids of the folders beside it, by their names.
    """

    runtime: str
    jobs: tuple[RenderedJob, ...]
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedWorkflow:
    """A workflow's placement record, and worker -> its release with only the jobs of this workflow in it."""

    placement: PlacementRecord
    releases: Mapping[str, CommittedRelease]

    def is_the_same(self, other: "CommittedWorkflow") -> bool:
        """Whether the jobs are, whatever runtime they are beside."""
        return self.jobs == other.jobs

    @property
    def jobs(self) -> list[RenderedJob]:
        """By name, without the digests."""
        jobs = [job for release in self.releases.values() for job in release.jobs]
        return [replace(job, entry=_without_digest(job.entry)) for job in sorted(jobs, key=lambda job: job.name)]


def committed_release(repository: Repository, tree: str, worker: str) -> CommittedRelease:
    """As a tree of the artifact branch has it; empty for a worker without one. Raises RepositoryError."""
    release = find_entry(repository, tree, f"{WORKERS_FOLDER}/{worker}")
    if release is None or release.mode != TREE:
        return CommittedRelease(runtime="", jobs=())
    top = list_folder(repository, release.id)
    if RELEASE_FILE not in top:
        raise _unusable(worker, "it has no release.json")
    content = repository.read(top[RELEASE_FILE].id, "blob")
    try:
        record = msgspec.json.decode(content, type=ReleaseRecord)
        entries = msgspec.json.decode(content).get("jobs", {})
    except NOT_JSON as error:
        raise _unusable(worker, f"its release.json can't be read: {error}") from None
    jobs, units = (list_folder(repository, release.id, folder) for folder in ("jobs", "units"))
    found = []
    for name, entry in sorted(entries.items()):
        names = record.jobs[name].units
        if name not in jobs or not units.keys() >= set(names):
            raise _unusable(worker, f"the files of {name} are missing")
        found.append(
            RenderedJob(
                name=name,
                workflow=name.partition(".")[0],
                worker=worker,
                entry=msgspec.json.encode(entry, order="sorted").decode(),
                tree=jobs[name].id,
                units=tuple((unit, units[unit].id) for unit in names),
                drains=record.jobs[name].draining is not None,
            )
        )
    return CommittedRelease(
        runtime=top["runtime"].id if "runtime" in top else "",
        jobs=tuple(found),
        libraries={name: entry.id for name, entry in list_folder(repository, release.id, LIBRARIES_FOLDER).items()}
        if LIBRARIES_FOLDER in top
        else {},
    )


def committed_placement(repository: Repository, tree: str, workflow: str) -> PlacementRecord | None:
    """Where a workflow's jobs are; None for a workflow that isn't there."""
    entry = find_entry(repository, tree, f"{PLACEMENT_FOLDER}/{workflow}.json")
    return None if entry is None else read_placement_record(repository, entry.id, workflow)


def committed_workflow(repository: Repository, tree: str, workflow: str) -> CommittedWorkflow | None:
    """None where it isn't there. Raises RepositoryError."""
    record = committed_placement(repository, tree, workflow)
    if record is None:
        return None
    releases: dict[str, CommittedRelease] = {}
    for worker in sorted(set(record.jobs.values())):
        release = committed_release(repository, tree, worker)
        own = tuple(job for job in release.jobs if record.jobs.get(job.name) == worker)
        releases[worker] = dataclasses.replace(release, jobs=own)
    missing = sorted(record.jobs.keys() - {job.name for release in releases.values() for job in release.jobs})
    foreign = sorted(job for job in record.jobs if job.partition(".")[0] != workflow)
    if foreign:
        raise _unusable(record.jobs[foreign[0]], f"placement/{workflow}.json names {foreign[0]}")
    if missing:
        raise _unusable(record.jobs[missing[0]], f"{missing[0]} should be in it")
    return CommittedWorkflow(placement=record, releases=releases)


def job_document(repository: Repository, job: RenderedJob) -> bytes:
    """Its `job.json`. Raises RepositoryError."""
    content = read_file(repository, job.tree, "job.json")
    if content is None:
        raise _unusable(job.worker, f"{job.name} has no job.json")
    return content


def text_of(repository: Repository, rendered: RenderedWorkflow) -> WorkflowText:
    """The files of the jobs by path in their releases."""
    return WorkflowText(rendered=rendered, files={job.name: job_files(repository, job) for job in rendered.jobs})


def size_of(repository: Repository, jobs: Sequence[RenderedJob]) -> int:
    """Bytes of all their files together. Raises RepositoryError where something else than files is among them."""
    size = 0
    for job in jobs:
        files = list_files(repository, job.tree)
        if any(entry.mode not in {FILE, EXECUTABLE} for entry in files.values()):
            raise _unusable(job.worker, f"{job.name} is made of something else than files")
        size += sum(
            repository.blob_size(blob)
            for blob in [*(unit for _, unit in job.units), *(entry.id for entry in files.values())]
        )
    return size


def _without_digest(entry: str) -> str:
    """It follows from the job's files, which are compared themselves, and from the runtime."""
    return msgspec.json.encode({**msgspec.json.decode(entry), "digest": ""}, order="sorted").decode()


def job_files(repository: Repository, job: RenderedJob) -> dict[str, TreeFile]:
    """By path in its release. Raises RepositoryError."""
    found = {
        f"jobs/{job.name}/{path}": TreeFile(repository.read(entry.id, "blob"), entry.mode == EXECUTABLE)
        for path, entry in list_files(repository, job.tree).items()
    }
    return {**found, **{f"units/{unit}": TreeFile(repository.read(blob, "blob")) for unit, blob in job.units}}


def _unusable(worker: str, why: str) -> RepositoryError:
    return RepositoryError(
        f"the release of {worker} on the artifact branch can't be used: {why}",
        "`git log` of that branch says who changed it",
    )
