"""What showing a pull request takes beside planning it: the comment of 10,000 jobs, under a forge's limit.

Run: python -m benchmarks.comment [--jobs 1000 10000] [--runs 5]

Each row is one plan of a generated repository (ten jobs a worker, 33 a workflow): nothing deployed yet, so that every
job is created; or every job changed, so that each has a diff as well. `plan` is planning alone, in this process, with
nothing remembered; `comment` is what comes after it: the digest of effects, the picture, and Markdown of at most
65,000 bytes, the median of the runs. Beside them, what the plan's JSON takes to be written.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from benchmarks.plan_repository import commit, generate

if TYPE_CHECKING:
    from gitopsd.daemon.planning.plan import Planned
    from gitopsd.daemon.workspace import Workspace

LIMIT = 65_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(f"{'':34} {'plan s':>8} {'JSON s':>8} {'comment s':>10} {'bytes':>8} {'whole':>12}")
    for jobs in options.jobs:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder) / "repository", jobs, options.runs)


def _measure(folder: Path, jobs: int, runs: int) -> None:
    from gitopsd.daemon.configuration.configuration import Configuration
    from gitopsd.daemon.deploying.writing import write_version
    from gitopsd.daemon.holds.asked import Asked
    from gitopsd.daemon.workspace import Workspace
    from gitopsd.repo.repository import open_at

    files = generate(workers=max(50, jobs // 10), jobs=jobs, workflows=max(1, jobs // 33))
    commit(folder, files)
    for key, value in (("user.name", "bench"), ("user.email", "bench@localhost")):
        subprocess.run(["git", "-C", str(folder), "config", key, value], check=True)
    workspace = Workspace(repository=open_at(folder), remote=None, configuration=Configuration())
    planned = _row(f"{jobs:,} jobs, all created", workspace, runs)
    write_version(workspace, planned, Asked())
    for path, content in files.items():
        (folder / path).write_bytes(
            content.replace(b"{msg: message}", b"{msg: text}").replace(b"/srv/", b"/srv/again/")
        )
    subprocess.run(["git", "-C", str(folder), "commit", "-qam", "all change"], check=True)
    _row(f"{jobs:,} jobs, all changed", replace(workspace, repository=open_at(folder)), runs)


def _row(name: str, workspace: "Workspace", runs: int) -> "Planned":
    from gitopsd.daemon.planning.plan import plan_version

    started = time.perf_counter()
    planned = plan_version(workspace, workspace.source())
    seconds = time.perf_counter() - started
    json = _median(runs, lambda: msgspec.json.encode(planned.plan))
    comment, text, whole = _comment(runs, planned)
    print(f"{name:34} {seconds:8.2f} {json:8.3f} {comment:10.3f} {len(text.encode()):8,} {len(whole):12,}", flush=True)
    return planned


def _comment(runs: int, planned: "Planned") -> tuple[float, str, str]:
    from gitopsd.daemon.planning.plan_comment import comment_of
    from gitopsd.planner.comment.comment import comment_text
    from gitopsd.planner.comment.content import Versions
    from gitopsd.planner.comment.neutral import neutral

    versions = Versions(head="a" * 40, base="b" * 40)

    def made(limit: int | None = LIMIT) -> str:
        neutral.cache_clear()
        return comment_text(comment_of(planned, versions=versions), limit)

    return _median(runs, made), made(), made(None)


def _median(runs: int, work: Callable[[], object]) -> float:
    def once() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return median(once() for _ in range(runs))


if __name__ == "__main__":
    main()
