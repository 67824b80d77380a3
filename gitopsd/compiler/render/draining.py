"""A job that leaves its worker and drains there: as it was, but that it ends by itself once nothing is left for it.

It is of kind `once` then, so that the worker keeps it until it has ended well, and doesn't start it again after that.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from gitopsd.compiler.render.unit import draining_text
from gitopsd.compiler.render.workflow import JobFiles, RenderedJob, RenderedWorkflow, WorkflowText, json_file
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.memory import memory_key
from gitopsd.model.trees import TreeFile, build_tree, object_id

_WITH_CURSORS = frozenset({"file-store", "object-store"})

Earlier = tuple[RenderedJob, JobFiles]
"""A job as it was rendered before, and its files by path in the release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainingJob:
    """Part of the release of a worker that it isn't placed on any more. `files` are by path in the release."""

    job: RenderedJob
    files: Callable[[], JobFiles]

    @property
    def key(self) -> str:
        """Stands for all that it is made of."""
        return memory_key("draining", self.job.entry, self.job.tree, *(blob for _, blob in self.job.units))


class Departures(Protocol):
    """Decides which of the jobs that are deployed drain, once it is known what is rendered."""

    def draining(
        self, workflows: Sequence["Rendered"], workers: Mapping[str, PlacedWorker]
    ) -> Mapping[str, Sequence[DrainingJob]]:
        """By worker, of those among `workers`: the fleet, and those that are leaving it."""
        ...


class Rendered(Protocol):
    """What is asked of a workflow after rendering; `text` renders it anew."""

    @property
    def name(self) -> str: ...

    @property
    def rendered(self) -> RenderedWorkflow: ...

    @property
    def text(self) -> Callable[[], WorkflowText]: ...


def earlier_form(job: RenderedJob, files: JobFiles, name: str, keeps: Callable[[Mapping[str, Any]], bool]) -> Earlier:
    """The job under another name, to run beside its next form, with those of its inputs that it `keeps`.

    Its position in a store is a file of its own, since the job that it was may still be ending; and it writes as
    itself, since its next form writes to the same channels, and a store has one writer of each name.
    """
    folders = {f"jobs/{job.name}/": f"jobs/{name}/", f"units/gitopsd-{job.name}.": f"units/gitopsd-{name}."}
    renamed: dict[str, TreeFile] = {}
    for path, file in files.items():
        old = next(folder for folder in folders if path.startswith(folder))
        renamed[folders[old] + path.removeprefix(old)] = file
    document: Mapping[str, Any] = msgspec.json.decode(files[f"jobs/{job.name}/job.json"].data)
    runner = document["runner"]
    own = name.rpartition(".")[0].rpartition("-")[2]
    inputs = {port: [_with_cursor(end, own) for end in ends if keeps(end)] for port, ends in runner["inputs"].items()}
    outputs = {port: [_written_as(end, name) for end in ends] for port, ends in runner["outputs"].items()}
    runner = {**runner, "inputs": {port: ends for port, ends in inputs.items() if ends}, "outputs": outputs}
    renamed[f"jobs/{name}/job.json"] = json_file({**document, "job": name, "runner": runner})
    unit = f"units/gitopsd-{name}.service"
    own_name = re.compile(rf"{re.escape(job.name)}(?![\w-])")
    renamed[unit] = TreeFile(own_name.sub(name, renamed[unit].data.decode()).encode())
    entry = {**job.record, "unit": unit.removeprefix("units/"), "draining": {"of": job.name}}
    units = tuple((f"gitopsd-{name}.{known.rpartition('.')[2]}", blob) for known, blob in job.units)
    return replace(job, name=name, entry=msgspec.json.encode(entry, order="sorted").decode(), units=units), renamed


def _with_cursor(end: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {**end, "cursor": f"{end['replica']}-{name}"} if end["transport"] in _WITH_CURSORS else end


def _written_as(end: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {**end, "producer": name} if "producer" in end else end


def draining(job: RenderedJob, files: JobFiles, seconds: int) -> DrainingJob:
    """The job in the form in which it drains, for `seconds` at most."""
    path = f"jobs/{job.name}/job.json"
    document: Mapping[str, Any] = msgspec.json.decode(files[path].data)
    document = {**document, "kind": "once", "drain": {"deadline_seconds": seconds}}
    unit = f"units/{job.record['unit']}"
    text = draining_text(job.name, files[unit].data.decode())
    changed = {**files, path: json_file(document), unit: TreeFile(text.encode())}
    folder = f"jobs/{job.name}/"
    tree = build_tree({name.removeprefix(folder): file for name, file in changed.items() if name.startswith(folder)})
    entry = {
        **job.record,
        "kind": "once",
        "on_change": "restart",
        "ready": {"kind": "none"},
        "digest": sha256(f"{job.record['digest']} drains {seconds}".encode()).hexdigest()[:40],
        "draining": {**job.record.get("draining", {}), "deadline_seconds": seconds},
    }
    drains = replace(
        job,
        entry=msgspec.json.encode(entry, order="sorted").decode(),
        tree=tree.id,
        units=tuple((name, object_id("blob", changed[f"units/{name}"].data)) for name, _ in job.units),
        drains=True,
    )
    return DrainingJob(job=drains, files=lambda: changed)
