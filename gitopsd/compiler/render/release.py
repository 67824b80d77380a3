"""All releases and records of an environment, as one Git tree."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import to_builtins
from msgspec.structs import replace

from gitopsd.compiler.link import Linked
from gitopsd.compiler.machines import without_live_machines
from gitopsd.compiler.place import Placement
from gitopsd.compiler.render.job import JobContent, JobRenderer
from gitopsd.compiler.render.job_error import JobError
from gitopsd.compiler.route import RoutedJob
from gitopsd.model.artifacts import (
    FLEET_FILE,
    PLACEMENT_FOLDER,
    RELEASE_FILE,
    WORKERS_FOLDER,
    ArtifactState,
    FleetRecord,
    PlacedWorker,
    PlacementRecord,
)
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.trees import BuiltTree, Graft, TreeFile, build_tree, object_id

MAX_RENDERED_BYTES = 512 << 20
"""Of all jobs' files together."""

_HANDED_ON = re.compile(r"\$\{\{ *params\.([a-z0-9_]+) *\}\}")


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
    *,
    state: ArtifactState,
    runtime_files: Mapping[str, tuple[bytes, bool]],
    kept: Mapping[str, Graft],
    max_bytes: int = MAX_RENDERED_BYTES,
) -> tuple[Rendering | None, list[Diagnostic]]:
    """`kept` are the parts of the artifact branch that commands own, put back as they are.

    `max_bytes` bounds the files of all jobs together, each counted where it is used.
    """
    runtime = build_tree(runtime_files)
    diagnostics: list[Diagnostic] = []
    workers = _workers_with_leaving(placement, state)
    releases: dict[str, dict[str, Any]] = {name: {} for name in workers}
    files: dict[str, tuple[bytes, bool] | Graft] = dict(kept)
    renderer = JobRenderer(linked.name, linked.shipped)
    failed: set[tuple[str, str]] = set()
    size = 0
    for job in routed:
        step = (job.workflow, job.step.name if job.step else "")
        if step in failed:
            continue  # one replica has told
        try:
            content = renderer.content(job)
        except JobError as error:
            failed.add(step)
            diagnostics.append(_diagnostic(linked, job, error))
            continue
        rendered = _job_files(job.name, content)
        size += sum(len(file.data) for file in rendered.values())
        if size > max_bytes:
            diagnostics.append(_diagnostic(linked, job, _too_much(size, max_bytes)))
            break
        folder = f"{WORKERS_FOLDER}/{job.worker.name}/"
        for path, file in rendered.items():
            files[folder + path] = file
        releases[job.worker.name][job.name] = {**content.entry, "digest": _digest(content, rendered, runtime)}
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
        files[f"{WORKERS_FOLDER}/{name}/{RELEASE_FILE}"] = _json_file(release)
    records = {name: replace(worker, name="") for name, worker in workers.items()}
    files[FLEET_FILE] = _json_file(to_builtins(FleetRecord(workers=records)))
    placed: dict[str, dict[str, str]] = {workflow: {} for workflow in linked.workflows}
    for job in routed:
        placed[job.workflow][job.name] = job.worker.name
    for workflow, jobs in placed.items():
        files[f"{PLACEMENT_FOLDER}/{workflow}.json"] = _json_file(to_builtins(PlacementRecord(jobs=jobs)))
    return Rendering(
        tree=build_tree(files),
        runtime=runtime,
        adapters={job.name: job.reason for job in routed if job.reason},
    ), []


def _workers_with_leaving(placement: Placement, state: ArtifactState) -> dict[str, PlacedWorker]:
    """The fleet, and those that left it: they are given an empty release, so that nothing goes on running there."""
    gone = {name: worker for name, worker in state.fleet.items() if name not in placement.workers}
    leaving = without_live_machines(gone, placement.workers)
    marked = {name: replace(worker, leaving=True) for name, worker in leaving.items()}
    return dict(sorted({**placement.workers, **marked}.items()))


def _job_files(job: str, content: JobContent) -> dict[str, TreeFile]:
    """By path in the release."""
    return {
        f"jobs/{job}/job.json": _json_file(content.document),
        **{f"jobs/{job}/files/{name}": file for name, file in content.files.items()},
        f"units/{content.entry['unit']}": TreeFile(content.unit.encode()),
    }


def _digest(content: JobContent, rendered: Mapping[str, TreeFile], runtime: BuiltTree) -> str:
    """40 hex digits that change exactly when the job must be restarted or reloaded."""
    parts = [f"{path} {file.executable} {object_id('blob', file.data)}" for path, file in rendered.items()]
    if content.uses_runner:
        parts.append(runtime.id)
    return sha256("\n".join(parts).encode()).hexdigest()[:40]


def _json_file(value: Mapping[str, Any]) -> TreeFile:
    return TreeFile(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n")


def _too_much(size: int, limit: int) -> JobError:
    message = f"with this job the rendering comes to {size:,} bytes; the limit is {limit:,}"
    return JobError("too-much-rendered", message, hint="ask for fewer replicas, or smaller files and parameters")


def _diagnostic(linked: Linked, job: RoutedJob, error: JobError) -> Diagnostic:
    return Diagnostic(
        code=error.code, message=f"{job.name}: {error}", location=_location(linked, job, error), hint=error.hint
    )


def _location(linked: Linked, job: RoutedJob, error: JobError) -> Location:
    """Where the author would put it right: the step's parameter, else the blueprint, else the step."""
    workflow = linked.workflows[job.workflow].document
    if job.step is None:
        return workflow.locate_key("channels")
    step = workflow.locate_key("steps", job.step.name)
    blueprint = linked.blueprints[job.step.use]
    parameter = error.parameter or (_parameter_behind(blueprint.document.value, error.at) if error.at else "")
    if parameter:
        given = parameter in linked.workflows[job.workflow].value.steps[job.step.name].with_
        return workflow.locate("steps", job.step.name, "with", parameter) if given else step
    own = error.at and not job.step.use.startswith("std/")
    return blueprint.document.locate("job", *error.at) if own else step


def _parameter_behind(blueprint: Any, at: Sequence[Any]) -> str:
    """The parameter that is handed on as it is at this place of a blueprint's `job:`; empty where there is none."""
    raw = blueprint["job"]
    for part in at:
        raw = raw.get(part) if isinstance(raw, dict) else raw[part] if isinstance(raw, list) else None
    match = _HANDED_ON.fullmatch(raw) if isinstance(raw, str) else None
    return match[1] if match else ""
