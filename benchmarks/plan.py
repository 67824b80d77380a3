"""Planning and committing generated repositories of growing size, beside what git and the YAML parser need.

Run: python -m benchmarks.plan [--jobs 1000 3000 10000] [--runs 3] [--quick]

One table: a row for each thing that is done, and for each size its wall time, its CPU time and the peak memory of its
process. Ten jobs a worker, 33 a workflow. Byte code is cached, as it is where gitopsd is installed; `cold` is without
the cache of planning. Whole processes are `gitopsd` as people run it, start of the interpreter included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plan_repository import change, commit, generate
from benchmarks.processes import environment

ROOT = Path(__file__).parents[1]
GITOPSD = [sys.executable, "-m", "gitopsd"]
NAME = 58

Row = tuple[float, float, float]
"""Seconds, CPU seconds, peak MB."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One generated repository, with a home and so a cache of its own."""

    folder: Path
    jobs: int
    workers: int
    workflows: int

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def environment(self) -> dict[str, str]:
        bytecode = str(self.folder.parent / "bytecode")  # one for all the folders of a run
        return environment(self.folder, PYTHONPYCACHEPREFIX=bytecode, PYTHONPATH=str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1_000, 3_000, 10_000])
    parser.add_argument("--runs", type=int, default=3, help="how often what is fast is done; the median is shown")
    parser.add_argument("--quick", action="store_true", help="the smallest size alone, once")
    options = parser.parse_args()
    sizes, runs = (options.jobs[:1], 1) if options.quick else (options.jobs, options.runs)
    with tempfile.TemporaryDirectory() as folder:
        cases = [make_case(Path(folder), jobs) for jobs in sizes]
        process(cases[0], [*GITOPSD, "--repo", str(cases[0].repository), "check"])  # fills the cache of byte code
        print_head(cases)
        for name, measure in rows(runs):
            print(f"{name:{NAME}}", end="", flush=True)
            for case in cases:
                seconds, cpu, peak = measure(case)
                print(f" │{seconds:8.3f} {cpu:7.3f} {peak:5.0f}", end="", flush=True)
            print()


def rows(runs: int) -> Iterable[tuple[str, Callable[[Case], Row]]]:
    """In the order in which they build on each other."""
    yield "libyaml (ruamel's C parser), events of the same files", lambda case: inside(case, "events")
    yield "ruamel.yaml safe load of the same files, no positions", lambda case: inside(case, "load")
    yield "git archive of the source", lambda case: git(case.repository, ["archive", "HEAD"])
    yield "git fast-import of the rendered tree, one pack, fsync", fast_import
    yield "git cat-file of every object of the rendered tree", lambda case: git(copy(case), CAT_FILE)
    yield "cold plan in one process: read the commit", lambda case: inside(case, "read")
    yield "cold plan in one process: load to check", lambda case: inside(case, "front")
    yield "cold plan in one process: place to render", lambda case: inside(case, "back")
    yield "cold plan, nothing deployed yet, whole process", lambda case: cold(case, runs)
    yield "cold plan, then render and commit all: the plan", lambda case: inside(case, "deploy")
    yield "cold plan, then render and commit all: the commit", lambda case: inside_again(case, "deploy")
    yield "plan, nothing changed, whole process", lambda case: unchanged(case, runs)
    yield "plan, one workflow changed, whole process", lambda case: one_changed(case, runs)
    yield "plan, one workflow changed, the same process", lambda case: inside(case, "again", str(max(5, runs)))
    yield "render and commit one changed workflow, the same process", lambda case: inside_again(case, "again")
    yield "cold plan of a new repository, whole process", lambda case: small(case, runs, cache=False)
    yield "plan of a new repository, whole process", lambda case: small(case, runs, cache=True)
    yield "python -c pass", lambda case: median(case, runs, lambda: [sys.executable, "-c", "pass"])


CAT_FILE = ["cat-file", "--batch-all-objects", "--batch"]


def make_case(folder: Path, jobs: int) -> Case:
    case = Case(folder=folder / str(jobs), jobs=jobs, workers=max(2, jobs // 10), workflows=max(1, jobs * 3 // 100))
    case.repository.mkdir(parents=True)
    commit(case.repository, generate(workers=case.workers, jobs=jobs, workflows=case.workflows))
    return case


def print_head(cases: Sequence[Case]) -> None:
    for lines in (
        ["", *(f"{case.jobs:,} jobs" for case in cases)],
        ["", *(f"{case.workers:,} workers" for case in cases)],
        ["", *(f"{case.workflows:,} workflows" for case in cases)],
        ["", *(f"{source_bytes(case) / 1e6:.2f} MB of YAML" for case in cases)],
        ["what", *("seconds     CPU    MB" for _ in cases)],
    ):
        print(f"{lines[0]:{NAME}}" + "".join(f" │{text:>22}" for text in lines[1:]))


def source_bytes(case: Case) -> int:
    return sum(path.stat().st_size for path in case.repository.rglob("*.yaml"))


def process(case: Case, command: list[str], *, stdin: Path | None = None, cache: bool = True) -> Row:
    """One whole process. This one's own memory, 15 MB, is the least that shows."""
    variables = case.environment if cache else {**case.environment, "GITOPSD_CACHE": "off"}
    with (stdin or Path(os.devnull)).open("rb") as source:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, cwd=ROOT, env=variables)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{command} ended with {child.returncode}"
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def median(case: Case, runs: int, command: Callable[[], list[str]], *, cache: bool = True) -> Row:
    """The run whose wall time is the middle one."""
    return sorted(process(case, command(), cache=cache) for _ in range(runs))[runs // 2]


_inside: dict[tuple[Path, str], dict[str, Row]] = {}


def inside(case: Case, what: str, *arguments: str) -> Row:
    """What benchmarks/plan_passes.py measures in a process of its own; the first of its rows."""
    command = [sys.executable, "-m", "benchmarks.plan_passes", what, str(case.repository), *arguments]
    measured: dict[str, Row] = json.loads(subprocess.check_output(command, cwd=ROOT, env=case.environment))
    _inside[case.folder, what] = measured
    return next(iter(measured.values()))


def inside_again(case: Case, what: str) -> Row:
    """The second row of what was measured before."""
    _, second = _inside[case.folder, what].values()
    return second


def plan(case: Case) -> list[str]:
    return [*GITOPSD, "--repo", str(case.repository), "plan", "HEAD", "--json"]


def cold(case: Case, runs: int) -> Row:
    return median(case, runs, lambda: plan(case), cache=False)


def unchanged(case: Case, runs: int) -> Row:
    process(case, plan(case))
    return median(case, runs, lambda: plan(case))


_changed = iter(range(1_000_000))


def one_changed(case: Case, runs: int) -> Row:
    """Each time one workflow differs from what is deployed, and from every version that was planned before."""

    def edited() -> list[str]:
        subprocess.run(["git", "-C", str(case.repository), "checkout", "-q", "generated", "--", "."], check=True)
        change(case.repository, next(_changed) % case.workflows)
        return plan(case)

    return median(case, runs, edited)


def small(case: Case, runs: int, *, cache: bool) -> Row:
    repository = case.folder / "small"
    if not repository.exists():
        process(case, [*GITOPSD, "init", str(repository)])
        process(case, [*GITOPSD, "--repo", str(repository), "plan"])
    return median(case, max(5, runs), lambda: [*GITOPSD, "--repo", str(repository), "plan"], cache=cache)


def copy(case: Case) -> Path:
    return case.folder / "copy.git"


def git(repository: Path, arguments: list[str]) -> Row:
    case = Case(folder=repository.parent, jobs=0, workers=0, workflows=0)
    return process(case, ["git", "-C", str(repository), *arguments])


def fast_import(case: Case) -> Row:
    stream = case.folder / "fast-import"
    inside(case, "export", str(stream))
    subprocess.run(["git", "init", "-q", "--bare", str(copy(case))], check=True)
    options = ["-c", "fastimport.unpackLimit=0", "-c", "core.fsync=all"]
    return process(case, ["git", "-C", str(copy(case)), *options, "fast-import", "--quiet"], stdin=stream)


if __name__ == "__main__":
    main()
