"""A workflow whose jobs stay as an earlier deployment had them, whatever this version says of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from gitopsd.compiler.render.workflow import RenderedJob, RenderedWorkflow, WorkflowText, placement_file
from gitopsd.model.memory import memory_key
from gitopsd.model.trees import object_id


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldWorkflow:
    """What stands in for a quarantined workflow: jobs as they were committed, read from the artifact branch.

    `returns_to` is the deployment that they are of, 0 where none ever went well: then there are no jobs. `compiled` is
    the digest of the form that they were rendered from. `left_out`: job -> why it can't be had back. `reason` says why
    the workflow is held. `files` reads a job's files by path in its release; `size` is that of all of them in bytes.
    """

    name: str
    compiled: str
    returns_to: int
    reason: str
    jobs: tuple[RenderedJob, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    files: Callable[[], WorkflowText]

    @property
    def key(self) -> str:
        """Stands for everything that the jobs are made of."""
        parts = [[job.name, job.worker, job.entry, job.tree, *chain(*job.units)] for job in self.jobs]
        return memory_key("held", self.name, self.compiled, *parts)

    @property
    def rendered(self) -> RenderedWorkflow:
        record = placement_file(self.compiled, self.jobs)
        return RenderedWorkflow(jobs=self.jobs, size=self.size, placement=object_id("blob", record.data))
