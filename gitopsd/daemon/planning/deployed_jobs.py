"""Jobs as they are deployed, by a commit or by a rendering that comes first: to decide which of them drain."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitopsd.compiler.link import Linked
from gitopsd.compiler.render.release import Rendering
from gitopsd.compiler.render.workflow import JobFiles, RenderedJob
from gitopsd.daemon.artifacts.committed_jobs import committed_release, job_files
from gitopsd.daemon.artifacts.state import read_facts
from gitopsd.model.amounts import seconds
from gitopsd.model.artifacts import PLACEMENT_FOLDER, ArtifactState
from gitopsd.model.fleet import Rollout
from gitopsd.planner.draining import Deployment, JobsOfRendering
from gitopsd.repo.artifacts import ArtifactHead, list_folder
from gitopsd.repo.repository import Repository


def deployment_before(
    repository: Repository, head: ArtifactHead, linked: Linked, committed: ArtifactState, after: Rendering | None
) -> Deployment:
    """What is deployed when the version of `linked` is: the head, or what is rendered to it before, `after`."""
    settings = {name: group.rollout_settings for group in linked.fleet.value.groups.values() for name in group.workers}
    groups = {name: group.rollout_settings for name, group in linked.fleet.value.groups.items()}

    def drain_seconds(worker: str) -> int:
        """Of a worker that left, as its group has it now."""
        known = committed.fleet.get(worker)
        of_group = groups.get(known.group, Rollout()) if known else Rollout()
        return round(seconds(settings.get(worker, of_group).drain))

    return Deployment(
        before=_Committed(repository, head.commit.tree) if after is None else JobsOfRendering(after),
        placement=committed.placement,
        records=_records(repository, head) if after is None else _records_of(after),
        fleet=committed.fleet,
        seconds=drain_seconds,
        drained=read_facts(repository, head.commit.tree).drained,
        lost=committed.lost,
    )


def _records(repository: Repository, head: ArtifactHead) -> Mapping[str, str]:
    records = list_folder(repository, head.commit.tree, PLACEMENT_FOLDER)
    return {name.removesuffix(".json"): entry.id for name, entry in records.items()}


def _records_of(rendering: Rendering) -> Mapping[str, str]:
    return {name: workflow.rendered.placement for name, workflow in rendering.workflows.items()}


@dataclass(slots=True)
class _Committed:
    repository: Repository
    tree: str
    _known: dict[str, Mapping[str, RenderedJob]] = field(default_factory=dict)

    def jobs(self, worker: str) -> Mapping[str, RenderedJob]:
        if worker not in self._known:
            release = committed_release(self.repository, self.tree, worker)
            self._known[worker] = {job.name: job for job in release.jobs}
        return self._known[worker]

    def files(self, job: RenderedJob) -> JobFiles:
        return job_files(self.repository, job)
