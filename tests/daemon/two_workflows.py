"""Two workflows on three machines that nobody reaches; what became of rollouts is written as if they had been."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gitopsd.daemon.artifacts.releases import desired_releases
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout, jobs_that_failed
from gitopsd.daemon.history.rollout_note import record_rollout
from gitopsd.daemon.reverting.revert_commit import Revert, commit_revert
from gitopsd.repo.artifacts import ArtifactHead, list_files, read_head
from tests.daemon.deployments import Deployments, deployments, environments, workflow
from tests.daemon.three_machines import BRANCH, machines

Tree = Mapping[str, str]
"""Path -> blob id."""


def two_workflows(path: Path) -> Deployments:
    found = deployments(path)
    found.commit(
        {
            "gitopsd.yaml": environments(production=""),
            "fleets/production.yaml": machines(1, 2, 3),
            "workflows/orders.yaml": workflow("orders", 4),
            "workflows/alerts.yaml": workflow("alerts", 3),
        }
    )
    return found


def head_of(repository: Deployments) -> ArtifactHead:
    head = read_head(repository.workspace().repository, BRANCH)
    assert head is not None
    return head


def tree_at(repository: Deployments, commit: str = "rendered/production") -> Tree:
    opened = repository.workspace().repository
    tree = repository.repo.git("rev-parse", f"{commit}^{{tree}}")
    return {path: f"{entry.mode:o} {entry.id}" for path, entry in list_files(opened, tree).items()}


def of_workflow(tree: Tree, name: str) -> Tree:
    """The jobs, units and placement of one workflow; runtimes and release.json are of all of them."""
    return {
        path: blob
        for path, blob in tree.items()
        if f"/jobs/{name}." in path or f"/units/gitopsd-{name}." in path or path == f"placement/{name}.json"
    }


def went(
    repository: Deployments,
    *,
    failed: Mapping[str, Sequence[str]] | None = None,
    away: Sequence[str] = (),
    only: Sequence[str] = (),
) -> ArtifactHead:
    """Writes the note of a rollout of the head: worker -> the jobs that failed there, and workers out of reach."""
    workspace, head = repository.workspace(), head_of(repository)
    workers = only or list(desired_releases(workspace.repository, head.commit.tree))
    results = []
    for name in workers:
        jobs = (failed or {}).get(name)
        if jobs is not None:
            failures: dict[str, tuple[str, tuple[str, ...]]] = dict.fromkeys(jobs, ("it died", ()))
            error = "" if jobs else "the disk is full"
            results.append(WorkerResult(worker=name, state="failed", error=error, failures=failures))
        else:
            results.append(WorkerResult(worker=name, state="unreachable" if name in away else "converged"))
    rollout = Rollout(
        results=tuple(results),
        failed=tuple(sorted(failed or {})),
        failed_jobs={result.worker: jobs for result in results if (jobs := jobs_that_failed(result))},
    )
    record_rollout(
        workspace,
        BRANCH,
        head,
        rollout,
        workers,
        started=datetime.now(UTC),
        overwritten={},
        all_workers=not only,
    )
    return head


def revert(repository: Deployments, head: ArtifactHead, *workflows: str) -> tuple[Revert | None, list[str]]:
    """The commit of an automatic revert, and what was said."""
    said: list[str] = []
    failed = {name: f"{name}.read.0 died" for name in workflows}
    done = commit_revert(repository.workspace(), BRANCH, head, failed, note=said.append)
    return done, said
