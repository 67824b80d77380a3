"""All releases and records of an environment, as one Git tree."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from gitopsd.compiler.link import Linked
from gitopsd.compiler.place import Placement
from gitopsd.compiler.render.job import JobContent, JobError, job_content
from gitopsd.compiler.route import RoutedJob
from gitopsd.model.artifacts import (
    FLEET_FILE,
    PLACEMENT_FOLDER,
    WORKERS_FOLDER,
    ArtifactState,
    FleetRecord,
    PlacedWorker,
    PlacementRecord,
)
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.trees import BuiltTree, Graft, TreeFile, build_tree, object_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The rendered tree, and why each adapter job is in it.

    `tree` holds the runtime as grafts of `runtime`, whose objects are the same for every worker.
    """

    tree: BuiltTree
    runtime: BuiltTree
    adapters: Mapping[str, str]


def render(
    linked: Linked,
    placement: Placement,
    routed: Sequence[RoutedJob],
    state: ArtifactState,
    runtime_files: Mapping[str, tuple[bytes, bool]],
    kept: Mapping[str, Graft],
) -> tuple[Rendering | None, list[Diagnostic]]:
    """`kept` are the parts of the artifact branch that commands own, put back as they are."""
    runtime = build_tree(runtime_files)
    diagnostics: list[Diagnostic] = []
    workers = _workers_with_leaving(placement, state)
    releases: dict[str, dict[str, Any]] = {name: {} for name in workers}
    files: dict[str, tuple[bytes, bool] | Graft] = dict(kept)
    for job in routed:
        try:
            content = job_content(job, linked.name, linked.shipped)
        except JobError as error:
            diagnostics.append(_diagnostic(linked, job, error))
            continue
        folder = f"{WORKERS_FOLDER}/{job.worker.name}"
        files |= _job_files(folder, job.name, content)
        releases[job.worker.name][job.name] = {**content.entry, "digest": _digest(content, runtime)}
    if diagnostics:
        return None, diagnostics
    for name, jobs in releases.items():
        if jobs:
            files[f"{WORKERS_FOLDER}/{name}/runtime"] = Graft(id=runtime.id)
        release = {
            "format": 1,
            "worker": name,
            "environment": linked.name,
            "runtime": runtime.id if jobs else None,
            "jobs": jobs,
        }
        files[f"{WORKERS_FOLDER}/{name}/release.json"] = _json_file(release)
    records = {name: replace(worker, name="") for name, worker in workers.items()}
    files[FLEET_FILE] = _json_file(to_builtins(FleetRecord(workers=records)))
    for workflow in sorted(linked.workflows):
        placed = {job.name: job.worker.name for job in routed if job.workflow == workflow}
        files[f"{PLACEMENT_FOLDER}/{workflow}.json"] = _json_file(to_builtins(PlacementRecord(jobs=placed)))
    return Rendering(
        tree=build_tree(files),
        runtime=runtime,
        adapters={job.name: job.reason for job in routed if job.reason},
    ), []


def _workers_with_leaving(placement: Placement, state: ArtifactState) -> dict[str, PlacedWorker]:
    """The fleet, and those that left it: they are given an empty release, so that nothing goes on running there."""
    leaving = {
        name: replace(worker, leaving=True) for name, worker in state.fleet.items() if name not in placement.workers
    }
    return dict(sorted({**placement.workers, **leaving}.items()))


def _job_files(folder: str, job: str, content: JobContent) -> dict[str, TreeFile]:
    return {
        f"{folder}/jobs/{job}/job.json": _json_file(content.document),
        **{f"{folder}/jobs/{job}/files/{name}": file for name, file in content.files.items()},
        f"{folder}/units/{content.entry['unit']}": TreeFile(content.unit.encode()),
    }


def _digest(content: JobContent, runtime: BuiltTree) -> str:
    """40 hex digits that change exactly when the job must be restarted or reloaded."""
    parts = [
        object_id("blob", _json_file(content.document).data),
        *(f"{name} {file.executable} {object_id('blob', file.data)}" for name, file in content.files.items()),
        object_id("blob", content.unit.encode()),
        runtime.id if content.uses_runner else "",
    ]
    return sha256("\n".join(parts).encode()).hexdigest()[:40]


def _json_file(value: Mapping[str, Any]) -> TreeFile:
    return TreeFile((json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode())


def _diagnostic(linked: Linked, job: RoutedJob, error: JobError) -> Diagnostic:
    step = job.step
    workflow = linked.workflows[job.workflow].document
    own = step is not None and error.at and not step.use.startswith("std/")
    if step is not None and own:
        location = linked.blueprints[step.use].document.locate("job", *error.at)
    elif step is not None:
        location = workflow.locate_key("steps", step.name)
    else:
        location = workflow.locate_key("channels")
    return Diagnostic(code=error.code, message=f"{job.name}: {error}", location=location, hint=error.hint)
