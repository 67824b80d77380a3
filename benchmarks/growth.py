"""How large an artifact branch gets over many deployments, as a controller keeps its repository.

Run: python -m benchmarks.growth [--deployments 1000] [--workers 1000] [--jobs 10000] [--workflows 300]

Each deployment changes one workflow, is planned and committed by the code that the daemon has, gets a note with each
rollout's counts as its rollout would write it, and packs are joined whenever the daemon's housekeeping would join them.
No worker is reached. Prints the size as it grows, and what ten years of ten deployments a day would come to.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.plan_repository import change, commit, generate
from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.deploying.committing import commit_version
from gitopsd.daemon.holds.asked import BY_A_PERSON
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import artifact_branch
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.notes import update_note
from gitopsd.repo.repacking import repack
from gitopsd.repo.repository import open_at
from gitopsd.repo.revision import resolve_commit

BRANCH = artifact_branch("production")
ROWS = 10
FAR = 10 * 365 * 10


class Quiet:
    def planned(self, planned: object) -> None: ...

    def note(self, message: str) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workflows", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        repository = Path(folder) / "repository"
        files = generate(workers=options.workers, jobs=options.jobs, workflows=options.workflows)
        commit(repository, files)
        measure(repository, options.deployments, options.workflows)


def measure(path: Path, deployments: int, workflows: int) -> None:
    repository = open_at(path)
    workspace = Workspace(repository=repository, remote=None, configuration=Configuration(), environment="production")
    print(f"{'deployments':>11} {'artifacts MB':>12} {'packs':>6} {'KB each':>8} {'ms each':>8} {'peak MB':>8}")
    deploy(workspace)
    first = before = size(path)
    started, joined = time.perf_counter(), 0.0
    for number in range(1, deployments + 1):
        change(path, number % workflows)
        deploy(workspace)
        joined_at = time.perf_counter()
        repack(repository)
        joined += time.perf_counter() - joined_at
        if number % max(1, deployments // ROWS) == 0:
            now = size(path)
            each = 1000 * (time.perf_counter() - started) / number
            kilobytes = (now - before) / max(1, deployments // ROWS) / 1000
            packs = len(list((path / ".git/objects/pack").glob("*.pack")))
            print(f"{number:11} {now / 1e6:12.1f} {packs:6} {kilobytes:8.1f} {each:8.0f} {peak():8.0f}", flush=True)
            before = now
    grown = (size(path) - first) / deployments
    print(f"\n{first / 1e6:.1f} MB after the first deployment, {grown / 1000:.1f} KB more for each one after it;")
    print(f"{FAR:,} deployments would come to {(first + FAR * grown) / 1e9:.2f} GB. Joining packs took {joined:.1f} s.")


def deploy(workspace: Workspace) -> None:
    repository = workspace.repository
    source = resolve_commit(repository, "HEAD")
    applied = commit_version(
        workspace, lambda: read_commit(repository, source), named=True, asked=BY_A_PERSON, reporter=Quiet()
    )
    record = {"rollouts": [{"counts": {"converged": 8, "in-sync": 992}, "started": str(time.time())}]}
    update_note(repository, BRANCH, None, applied.head.commit.id, lambda _: record)


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path / ".git/objects").rglob("*") if file.is_file())


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
