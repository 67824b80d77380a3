"""Jobs that were seen to have drained: recorded, so that the next version that is rendered drops them.

The tree is a function of its inputs, and what a worker is seen to do is none of them until it is committed.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import structs

from gitopsd.daemon.artifacts.records import RecordsEdit, commit_records, record_file
from gitopsd.daemon.artifacts.state import read_facts, read_fleet
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import workflow_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import FACTS_FILE
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.errors import RepositoryError


class Reporter(Protocol):
    """Is told which jobs have drained."""

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...


def record_drained(
    workspace: Workspace,
    branch: ArtifactBranch,
    head: ArtifactHead,
    results: Sequence[WorkerResult],
    reporter: Reporter,
) -> None:
    """Raises nothing: what fails is told, and the next run does it."""
    seen = {result.worker: result.drained for result in results if result.drained}
    if not seen:
        return
    try:
        for worker, jobs in note_drained(workspace, branch, head, seen).items():
            reporter.note(f"{', '.join(jobs)}: drained on {worker}; the next deployment drops what is left of it there")
    except RepositoryError as error:
        reporter.warn(f"that jobs have drained could not be recorded, so the next run does: {error.message}")


def note_drained(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, seen: Mapping[str, Sequence[str]]
) -> Mapping[str, tuple[str, ...]]:
    """Commits that the jobs have drained, by worker, and gives those of which that is new. Raises RepositoryError.

    Those of one workflow on one worker together, once the last of them has: that is one deployment. None where another
    deployment came meanwhile: one may drain again that came back in between.
    """
    new: dict[str, tuple[str, ...]] = {}

    def edit(now: ArtifactHead | None) -> RecordsEdit | None:
        new.clear()
        if now is None or now.deployment != head.deployment:
            return None
        facts = read_facts(workspace.repository, now.commit.tree)
        fleet = read_fleet(workspace.repository, now.commit.tree)
        for worker, jobs in sorted(seen.items()):
            known = facts.drained.get(worker, ())
            draining = fleet[worker].draining if worker in fleet else ()
            waited_for = {workflow_of(job) for job in draining if job not in jobs and job not in known}
            ended = [job for job in sorted(jobs) if job in draining and workflow_of(job) not in waited_for]
            if found := tuple(job for job in ended if job not in known):
                new[worker] = found
        if not new:
            return None
        drained = {
            worker: tuple(sorted({*facts.drained.get(worker, ()), *new.get(worker, ())}))
            for worker in sorted({*facts.drained, *new})
        }
        names = ", ".join(f"{job} on {worker}" for worker, jobs in new.items() for job in jobs)
        return RecordsEdit(
            subject=f"Drained: {names}",
            files={FACTS_FILE: record_file(structs.replace(facts, drained=drained))},
        )

    commit_records(workspace, branch, edit)
    return new
