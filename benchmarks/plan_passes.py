"""What plan.py measures inside a process: `python -m benchmarks.plan_passes WHAT REPOSITORY [ARGUMENT]`.

Prints a JSON object: name -> [seconds, CPU seconds, peak MB of the process so far].
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.plan_repository import change

if TYPE_CHECKING:
    from gitopsd.daemon.planning.plan import Planned
    from gitopsd.daemon.workspace import Workspace

T = TypeVar("T")
Rows = dict[str, tuple[float, float, float]]


def timed(rows: Rows, name: str, work: Callable[[], T]) -> T:
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    rows[name] = (time.perf_counter() - start, time.process_time() - cpu, peak())
    return result


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def events(repository: Path) -> Rows:
    from ruamel.yaml import YAML

    contents = [path.read_text() for path in sorted(repository.rglob("*.yaml"))]
    rows: Rows = {}
    timed(rows, "events", lambda: [list(YAML(typ="safe").parse(text)) for text in contents])
    return rows


def load(repository: Path) -> Rows:
    from ruamel.yaml import YAML

    contents = [path.read_text() for path in sorted(repository.rglob("*.yaml"))]
    rows: Rows = {}
    timed(rows, "load", lambda: [YAML(typ="safe").load(text) for text in contents])
    return rows


def read(repository: Path) -> Rows:
    workspace = _workspace(repository, cache=False)
    rows: Rows = {}
    timed(rows, "read", lambda: workspace.source("HEAD"))
    return rows


def front(repository: Path) -> Rows:
    from gitopsd.compiler.front import compile_front

    source = _workspace(repository, cache=False).source("HEAD")
    rows: Rows = {}
    timed(rows, "front", lambda: compile_front(source.files, None))
    return rows


def back(repository: Path) -> Rows:
    from gitopsd.compiler.back import compile_back
    from gitopsd.compiler.front import compile_front
    from gitopsd.daemon.planning.shipped import library
    from gitopsd.model.artifacts import ArtifactState
    from gitopsd.model.policy import PolicyRecord
    from gitopsd.runner.bundle import runtime_files

    compiled = compile_front(_workspace(repository, cache=False).source("HEAD").files, None)
    state, runtime = ArtifactState(policy=PolicyRecord()), runtime_files()
    rows: Rows = {}
    timed(rows, "back", lambda: compile_back(compiled, state, runtime, {}, library=library))
    return rows


def export(repository: Path, stream: Path) -> Rows:
    """Writes what `git fast-import` reads to commit the rendered tree."""
    tree = _plan(_workspace(repository, cache=False)).rendering.tree()
    with stream.open("wb") as out:
        out.write(b"commit refs/heads/x\ncommitter bench <bench@localhost> 1 +0000\ndata 6\nbench\n")
        for path, entry in tree.entries.items():
            if entry.id in tree.objects and tree.objects[entry.id].kind == "blob":
                data = tree.objects[entry.id].data
                out.write(b"M %o inline %s\ndata %d\n%s\n" % (entry.mode, path.encode(), len(data), data))
    return {"export": (0, 0, peak())}


def deploy(repository: Path) -> Rows:
    """Plans, and commits the rendering to the artifact branch, without reaching any worker."""
    rows: Rows = {}
    workspace = _workspace(repository, cache=True)
    planned = timed(rows, "plan", lambda: _plan(workspace))
    os.sync()
    timed(rows, "commit", lambda: _commit(workspace, planned))
    workspace.close()
    return rows


def again(repository: Path, runs: str) -> Rows:
    """One workflow after the other is changed, planned and committed by one process, as a controller does it."""
    workspace = _workspace(repository, cache=True)
    _commit(workspace, _plan(workspace))
    plans: Rows = {}
    commits: Rows = {}
    for number in range(int(runs) + 1):
        change(repository, number)
        planned = timed(plans, str(number), lambda: _plan(workspace))
        assert {job.job.split(".")[0] for job in planned.plan.changes if job.action != "unchanged"} == {
            f"flow-{number:03}"
        }
        timed(commits, str(number), lambda planned=planned: _commit(workspace, planned))  # type: ignore[misc]
        workspace.memory.flush()
    workspace.close()
    return {"plan": _middle(plans), "commit": _middle(commits)}


def _middle(rows: Rows) -> tuple[float, float, float]:
    """Column by column; the first, which still fills the memory of the process, isn't counted."""
    seconds, cpu, peaks = zip(*list(rows.values())[1:], strict=True)
    return statistics.median(seconds), statistics.median(cpu), max(peaks)


def _workspace(repository: Path, *, cache: bool) -> "Workspace":
    import gc

    os.environ["GITOPSD_CACHE"] = "on" if cache else "off"
    gc.set_threshold(100_000, 20, 100)  # as gitopsd.cli.main does
    from gitopsd.daemon.workspace import open_workspace

    return open_workspace(str(repository), None, None)


def _plan(workspace: "Workspace") -> "Planned":
    from gitopsd.daemon.planning.plan import plan_version

    return plan_version(workspace, workspace.source("HEAD"))


def _commit(workspace: "Workspace", planned: "Planned") -> None:
    from gitopsd.daemon.artifacts.state import CommittedReleases
    from gitopsd.repo.publish import write_deployment
    from gitopsd.repo.trailers import DeploymentTrailers

    head = planned.head
    before = head.deployment.trailers.deployment if head and head.deployment and head.deployment.trailers else 0
    releases = CommittedReleases(repository=workspace.repository, tree=head.commit.tree) if head else None
    inputs = planned.plan.inputs
    write_deployment(
        workspace.repository,
        planned.branch,
        None,
        planned.rendering.tree(releases),
        head=head,
        subject=f"Deployment {before + 1}: bench",
        trailers=DeploymentTrailers(
            deployment=before + 1,
            source_commit=inputs.source_commit,
            environment=inputs.environment,
            trigger="push",
            plan_digest=planned.plan.digest,
            renderer=inputs.renderer,
            compiled=planned.compiled,
        ),
    )


def main() -> None:
    what, repository, *rest = sys.argv[1:]
    ways: dict[str, Callable[..., Rows]] = {
        "events": events,
        "load": load,
        "read": read,
        "front": front,
        "back": back,
        "export": lambda path, stream: export(path, Path(stream)),
        "deploy": deploy,
        "again": again,
    }
    json.dump(ways[what](Path(repository), *rest), sys.stdout)


if __name__ == "__main__":
    main()
