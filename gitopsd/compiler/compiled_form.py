"""What a version comes to before anything is placed: versions are told apart by that, not by how they are written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from gitopsd.compiler.link import Linked
from gitopsd.compiler.place import fleet_workers
from gitopsd.model.memory import Memory, memory_key
from gitopsd.model.system import WorkflowSummary


class _FleetForm(Struct, frozen=True):
    """Remembered of a fleet file."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledForm:
    """`key`: 40 hex digits over the workers and all workflows; `workflows`: the digest of each by name."""

    key: str
    workflows: Mapping[str, str]

    def without(self, names: Collection[str]) -> "CompiledForm":
        """The same version, those workflows left to others."""
        return CompiledForm(
            key=self.key, workflows={name: digest for name, digest in self.workflows.items() if name not in names}
        )


def compiled_form(linked: Linked, summaries: Sequence[WorkflowSummary], memory: Memory) -> CompiledForm:
    key = memory_key("fleet-form", linked.fleet.content.blob)
    fleet = memory.recall(key, _FleetForm)
    if fleet is None:
        workers = msgspec.json.encode(fleet_workers(linked), order="sorted").decode()
        fleet = _FleetForm(memory_key("fleet", workers))
        memory.keep(key, fleet)
    workflows = {summary.workflow: summary.digest for summary in summaries}
    whole = memory_key("form", fleet.digest, [f"{name} {digest}" for name, digest in sorted(workflows.items())])
    return CompiledForm(key=whole.partition(":")[2], workflows=workflows)
