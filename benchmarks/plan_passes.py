"""One process that goes through the passes of planning and notes time and peak memory after each; see plan.py."""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gitopsd.compiler.render.release import Rendering
    from gitopsd.model.trees import TreeEntry
    from gitopsd.repo.repository import Repository

T = TypeVar("T")
Rows = list[tuple[str, float, float, float]]


def timed(rows: Rows, name: str, work: Callable[[], T]) -> T:
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    rows.append((name, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return result


def peers(repository: Path) -> Rows:
    from ruamel.yaml import YAML

    contents = [path.read_text() for path in sorted(repository.rglob("*.yaml"))]
    rows: Rows = []
    timed(rows, "libyaml (ruamel's C parser), events only", lambda: [list(YAML(typ="safe").parse(t)) for t in contents])
    timed(rows, "ruamel safe load, no positions kept", lambda: [YAML(typ="safe").load(t) for t in contents])
    return rows


def passes(repository: Path) -> Rows:
    """Every pass once, cold. What importing costs is a row of its own."""
    rows: Rows = []

    def imports() -> None:
        import gitopsd.compiler.compile
        import gitopsd.planner.diff
        import gitopsd.runner.bundle  # noqa: F401 - only to be loaded

    timed(rows, "imports of compiler and planner", imports)
    from gitopsd.compiler.bind import bind
    from gitopsd.compiler.check import check
    from gitopsd.compiler.link import link
    from gitopsd.compiler.load import load
    from gitopsd.compiler.parse import parse
    from gitopsd.compiler.place import place
    from gitopsd.compiler.render.release import render
    from gitopsd.compiler.route import route
    from gitopsd.model.artifacts import ArtifactState
    from gitopsd.model.plan import PlanInputs
    from gitopsd.planner.diff import make_plan
    from gitopsd.runner.bundle import runtime_files

    files = {str(path.relative_to(repository)): path.read_bytes() for path in sorted(repository.rglob("*.yaml"))}
    state = ArtifactState()
    loaded, _ = timed(rows, "load", lambda: load(files))
    assert loaded is not None
    parsed, mistakes = timed(rows, "parse", lambda: parse(loaded))
    assert parsed is not None, mistakes
    linked, mistakes = timed(rows, "link", lambda: link(parsed, None))
    assert linked is not None, mistakes
    systems, _ = timed(rows, "bind", lambda: bind(linked))
    timed(rows, "check", lambda: check(linked, systems))
    placement, mistakes = timed(rows, "place", lambda: place(linked, systems, state))
    assert placement is not None, mistakes
    routed, _ = timed(rows, "route", lambda: route(linked, systems, placement))
    runtime = runtime_files()
    rendering, mistakes = timed(
        rows,
        "render, with all ids",
        lambda: render(linked, placement, routed, state=state, runtime_files=runtime, kept={}),
    )
    assert rendering is not None, mistakes
    inputs = PlanInputs(environment="production", source_commit="", source_tree="", artifact_head="", renderer="")
    timed(rows, "make_plan against nothing", lambda: make_plan(rendering, Nothing(), state, inputs, "rendered/x"))
    return rows


class Nothing:
    """A reader of releases where there are none yet."""

    def release_ids(self) -> dict[str, str]:
        return {}

    def files(self, release: str) -> "dict[str, TreeEntry]":
        raise LookupError(release)

    def blob(self, blob_id: str) -> bytes:
        raise LookupError(blob_id)


def export(repository: Path, stream: Path) -> Rows:
    """Writes what `git fast-import` reads to commit the rendered tree."""
    rendering = _planned(repository)[1]
    objects = {**rendering.runtime.objects, **rendering.tree.objects}
    with stream.open("wb") as out:
        out.write(b"commit refs/heads/x\ncommitter bench <bench@localhost> 1 +0000\ndata 6\nbench\n")
        for path, entry in rendering.tree.entries.items():
            if entry.id in objects and objects[entry.id].kind == "blob":
                data = objects[entry.id].data
                out.write(b"M %o inline %s\ndata %d\n%s\n" % (entry.mode, path.encode(), len(data), data))
    return []


def deploy(repository: Path) -> Rows:
    """Commits the rendering to the artifact branch, without reaching any worker."""
    from gitopsd.repo.commit import Identity, write_commit
    from gitopsd.repo.refs import RefUpdate, update_ref

    opened, rendering, ref = _planned(repository)
    tree = rendering.tree
    whole = replace(tree, objects={**rendering.runtime.objects, **tree.objects}, grafts=frozenset())
    author = Identity(name="bench", email="bench@localhost")
    commit = write_commit(opened, whole, parent=None, message="bench\n", author=author, now=1)
    update_ref(opened, RefUpdate(ref=ref, new=commit, old=None), reason="bench")
    return []


def _planned(repository: Path) -> "tuple[Repository, Rendering, str]":
    from gitopsd.daemon.planning import plan_version
    from gitopsd.daemon.workspace import open_workspace

    workspace = open_workspace(str(repository), None, None)
    planned = plan_version(workspace, workspace.source_of_commit())
    return workspace.repository, planned.rendering, planned.branch.ref


def main() -> None:
    what, repository, *rest = sys.argv[1:]
    ways: dict[str, Callable[..., Rows]] = {"peers": peers, "passes": passes, "export": export, "deploy": deploy}
    json.dump(ways[what](Path(repository), *map(Path, rest)), sys.stdout)


if __name__ == "__main__":
    main()
