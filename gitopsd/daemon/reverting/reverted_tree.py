"""The head of the artifact branch with some workflows as an earlier deployment had them, and nothing else changed.

Never a textual revert: releases are put together anew from jobs that are committed already. Every file of another
workflow, worker or record is the very same Git object before and after.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.compiler.render.release import RenderedRelease, grafted_release, with_shared
from gitopsd.compiler.render.workflow import LibraryOf, placement_file
from gitopsd.daemon.artifacts.committed_jobs import CommittedRelease, committed_placement, committed_release
from gitopsd.daemon.artifacts.control import control_file
from gitopsd.model.artifacts import CONTROL_FILE, PLACEMENT_FOLDER, WORKERS_FOLDER
from gitopsd.model.control import ControlRecord
from gitopsd.model.trees import BuiltTree, Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import ArtifactHead, list_folder, read_file
from gitopsd.repo.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertedTree:
    """The tree to be committed, and the workers whose releases it changes."""

    tree: BuiltTree
    workers: tuple[str, ...]


def reverted_tree(
    repository: Repository,
    head: ArtifactHead,
    environment: str,
    held: Mapping[str, HeldWorkflow],
    *,
    control: ControlRecord,
    runtime: str,
    library: LibraryOf,
) -> RevertedTree:
    """The head with `held` in the place of the workflows of that name, and `control` as its `control.json`.

    `runtime` is the id of the runner's folder of all releases, `library` gives what they have beside it.
    """
    tree = head.commit.tree
    files: dict[str, Graft | TreeFile] = {
        name: Graft(id=entry.id, mode=entry.mode)
        for name, entry in list_folder(repository, tree).items()
        if name not in {PLACEMENT_FOLDER, WORKERS_FOLDER}
    }
    files[CONTROL_FILE] = TreeFile(control_file(read_file(repository, tree, CONTROL_FILE), control))
    files |= _placements(repository, tree, held)
    releases = list_folder(repository, tree, WORKERS_FOLDER)
    affected: list[str] = []
    touched = _workers(repository, tree, held)
    for worker, entry in releases.items():
        path = f"{WORKERS_FOLDER}/{worker}"
        before = committed_release(repository, tree, worker) if worker in touched else None
        content = (
            None if before is None else _release(environment, worker, before, held, runtime=runtime, library=library)
        )
        if content is None or build_tree(content).id == entry.id:
            files[path] = Graft(id=entry.id, mode=entry.mode)
        else:
            affected.append(worker)
            files |= {f"{path}/{name}": file for name, file in content.items()}
    used = {name for workflow in held.values() for job in workflow.jobs for name in job.libraries}
    shared = [library(name) for name in sorted(used)]
    return RevertedTree(tree=with_shared(build_tree(files), shared), workers=tuple(affected))


def _release(
    environment: str,
    worker: str,
    before: CommittedRelease,
    held: Mapping[str, HeldWorkflow],
    *,
    runtime: str,
    library: LibraryOf,
) -> dict[str, Graft | TreeFile]:
    back = [job for workflow in held.values() for job in workflow.jobs if job.worker == worker]
    names = {job.name for job in back}
    kept = [job for job in before.jobs if job.workflow not in held or (job.drains and job.name not in names)]
    jobs = tuple(sorted([*kept, *back], key=lambda job: job.name))
    return grafted_release(environment, RenderedRelease(worker=worker, id="", jobs=jobs), runtime, library)


def _workers(repository: Repository, tree: str, held: Mapping[str, HeldWorkflow]) -> frozenset[str]:
    """Those that have jobs of the workflows now, and those that are to have some."""
    records = [committed_placement(repository, tree, name) for name in held]
    now = {worker for record in records if record for worker in record.jobs.values()}
    return frozenset(now | {job.worker for workflow in held.values() for job in workflow.jobs})


def _placements(repository: Repository, tree: str, held: Mapping[str, HeldWorkflow]) -> dict[str, Graft | TreeFile]:
    files: dict[str, Graft | TreeFile] = {
        f"{PLACEMENT_FOLDER}/{name}": Graft(id=entry.id, mode=entry.mode)
        for name, entry in list_folder(repository, tree, PLACEMENT_FOLDER).items()
        if name.removesuffix(".json") not in held
    }
    for name, workflow in held.items():
        if workflow.returns_to:
            files[f"{PLACEMENT_FOLDER}/{name}.json"] = placement_file(workflow.compiled, workflow.jobs)
    return files
