"""A job that leaves its worker and drains there: as it was, but that it ends by itself once nothing is left for it.

It is of kind `once` then, so that the worker keeps it until it has ended well, and doesn't start it again after that.
"""

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
        "draining": {"deadline_seconds": seconds},
    }
    drains = replace(
        job,
        entry=msgspec.json.encode(entry, order="sorted").decode(),
        tree=tree.id,
        units=tuple((name, object_id("blob", changed[f"units/{name}"].data)) for name, _ in job.units),
        drains=True,
    )
    return DrainingJob(job=drains, files=lambda: changed)
