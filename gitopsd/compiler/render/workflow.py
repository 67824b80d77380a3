"""All jobs of one workflow, rendered: ids of what they are made of, which are remembered, and the text itself."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from gitopsd.compiler.expand import used_here
from gitopsd.compiler.link import Linked
from gitopsd.compiler.render.job import JobContent, JobRenderer
from gitopsd.compiler.render.job_error import JobError
from gitopsd.compiler.route import RoutedJob
from gitopsd.model.artifacts import PlacementRecord
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import BuiltTree, TreeFile, build_tree, object_id

_HANDED_ON = re.compile(r"\$\{\{ *params\.([a-z0-9_]+) *\}\}")

LibraryOf = Callable[[str], BuiltTree]
"""A library that ships beside the runner, by its name. Raises LookupError."""

JobFiles = Mapping[str, TreeFile]
"""The files of one job by path in its release."""


class RenderedJob(Struct, frozen=True, array_like=True, kw_only=True):
    """One job: `entry` is its part of `release.json` as sorted JSON, `tree` the id of its folder below `jobs/`.

    `units` are the names of its unit files with their blob ids. `reason` says why an adapter is there. `drains`: it is
    not placed here any more, and ends once nothing is left for it.
    """

    name: str
    workflow: str
    worker: str
    entry: str
    tree: str
    units: tuple[tuple[str, str], ...]
    reason: str = ""
    drains: bool = False

    @property
    def libraries(self) -> tuple[str, ...]:
        """What must be beside the runner for it."""
        may_have = '"libraries"' in self.entry  # saves reading the others, of which there may be thousands
        return tuple(self.record.get("libraries", ())) if may_have else ()

    @property
    def record(self) -> Mapping[str, Any]:
        """Its part of `release.json`."""
        decoded: Mapping[str, Any] = msgspec.json.decode(self.entry)
        return decoded


class RenderedWorkflow(Struct, frozen=True, kw_only=True):
    """The jobs in the order of steps and replicas; `size` is that of all their files in bytes.

    `placement` is the blob id of its placement record.
    """

    jobs: tuple[RenderedJob, ...]
    size: int
    placement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowText:
    """The files of each job, by its name."""

    rendered: RenderedWorkflow
    files: Mapping[str, JobFiles]


def render_workflow(
    linked: Linked,
    routed: Sequence[RoutedJob],
    *,
    compiled: str,
    runtime: BuiltTree,
    library: LibraryOf,
    policy: PolicyRecord | None,
    max_bytes: int,
) -> tuple[WorkflowText, list[Diagnostic]]:
    """`compiled` is the workflow's digest before placement; `max_bytes` bounds the files of all its jobs together."""
    renderer = JobRenderer(linked.name, linked.libraries, policy)
    diagnostics: list[Diagnostic] = []
    failed: set[str] = set()
    jobs: list[RenderedJob] = []
    files: dict[str, JobFiles] = {}
    size = 0
    for job in routed:
        step = job.step.name if job.step else ""
        if step in failed:
            continue  # one replica has told
        try:
            content = renderer.content(job)
            rendered = job_files(job.name, content)
            size += sum(len(file.data) for file in rendered.values())
            if size > max_bytes:
                diagnostics.append(_diagnostic(linked, job, too_much(size, max_bytes)))
                break
        except JobError as error:
            failed.add(step)
            diagnostics.append(_diagnostic(linked, job, error))
            if error.code == "too-much-evaluated":
                break  # as would all that follow
            continue
        files[job.name] = rendered
        jobs.append(_rendered(job, content, rendered, runtime, library))
    record = placement_file(compiled, jobs)
    workflow = RenderedWorkflow(jobs=tuple(jobs), size=size, placement=object_id("blob", record.data))
    return WorkflowText(rendered=workflow, files=files), diagnostics


def placement_file(compiled: str, jobs: Sequence[RenderedJob]) -> TreeFile:
    """`placement/<workflow>.json`."""
    record = PlacementRecord(compiled=compiled, jobs={job.name: job.worker for job in jobs})
    return json_file(msgspec.to_builtins(record))


def json_file(value: Mapping[str, Any]) -> TreeFile:
    """Sorted and indented, for people to read and diff."""
    return TreeFile(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n")


def job_files(job: str, content: JobContent) -> dict[str, TreeFile]:
    """By path in the release."""
    return {
        f"jobs/{job}/job.json": json_file(content.document),
        **{f"jobs/{job}/files/{name}": file for name, file in content.files.items()},
        **{f"units/{name}": TreeFile(text.encode()) for name, text in content.units.items()},
    }


def too_much(size: int, limit: int) -> JobError:
    message = f"with this job the rendering comes to {size:,} bytes; the limit is {limit:,}"
    return JobError("too-much-rendered", message, hint="ask for fewer replicas, or smaller files and parameters")


def _rendered(
    job: RoutedJob, content: JobContent, files: JobFiles, runtime: BuiltTree, library: LibraryOf
) -> RenderedJob:
    folder = f"jobs/{job.name}/"
    own = build_tree({path.removeprefix(folder): file for path, file in files.items() if path.startswith(folder)})
    entry = {**content.entry, "digest": _digest(content, files, runtime, library)}
    if entry["on_change"] == "reload":
        started_with = {path: file for path, file in files.items() if not path.startswith(f"{folder}files/")}
        entry["process"] = _digest(content, started_with, runtime, library)
    return RenderedJob(
        name=job.name,
        workflow=job.workflow,
        worker=job.worker.name,
        entry=msgspec.json.encode(entry, order="sorted").decode(),
        tree=own.id,
        units=tuple((name, object_id("blob", text.encode())) for name, text in content.units.items()),
        reason=job.reason,
    )


def _digest(content: JobContent, rendered: JobFiles, runtime: BuiltTree, library: LibraryOf) -> str:
    """40 hex digits that change exactly when the job must be restarted or reloaded.

    Of all files but those of the blueprint: when it must be restarted, since it reads only these anew.
    """
    parts = [f"{path} {file.executable} {object_id('blob', file.data)}" for path, file in rendered.items()]
    if content.uses_runner:
        parts += [runtime.id, *(library(name).id for name in content.libraries)]
    return sha256("\n".join(parts).encode()).hexdigest()[:40]


def _diagnostic(linked: Linked, job: RoutedJob, error: JobError) -> Diagnostic:
    related: tuple[Related, ...] = tuple(used_here(linked, job.step.chain)) if job.step else ()
    return Diagnostic(
        code=error.code,
        message=f"{job.name}: {error}",
        location=_location(linked, job, error),
        related=related,
        hint=error.hint,
    )


def _location(linked: Linked, job: RoutedJob, error: JobError) -> Location:
    """Where the author would put it right: the step's parameter, else the blueprint, else the step."""
    if job.step is None:
        return linked.documents[linked.workflows[job.workflow].path].document.locate_key("channels")
    origin = job.step.origin
    step = linked.locate_key(origin)
    blueprint = linked.documents[job.step.blueprint_path]
    declared = linked.documents[origin.path].value.steps[origin.pointer[-1]]
    if error.origin:
        way = (*error.origin.pointer, *error.at)
        return linked.documents[error.origin.path].document.locate_within(way, *error.within)
    parameter = error.parameter or (_parameter_behind(blueprint.document.value, error.at) if error.at else "")
    if parameter:
        return linked.locate(origin, "with", parameter, *error.way) if parameter in declared.with_ else step
    own = error.at and not job.step.use.startswith("std/")
    return blueprint.document.locate_within(("job", *error.at), *error.within) if own else step


def _parameter_behind(blueprint: Any, at: Sequence[Any]) -> str:
    """The parameter that is handed on as it is at this place of a blueprint's `job:`; empty where there is none."""
    raw = blueprint["job"]
    for part in at:
        raw = raw.get(part) if isinstance(raw, dict) else raw[part] if isinstance(raw, list) else None
    match = _HANDED_ON.fullmatch(raw) if isinstance(raw, str) else None
    return match[1] if match else ""
