"""Planning a generated repository, pass by pass and as a whole process, beside what git and the YAML parser need.

Run: python benchmarks/plan.py [--workers 100] [--jobs 1000] [--workflows 30]

Every row is a process of its own or, for the passes, one process that notes its peak after each of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.plan_repository import generate

GITOPSD = [sys.executable, "-m", "gitopsd"]
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--workflows", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        files = generate(workers=options.workers, jobs=options.jobs, workflows=options.workflows)
        commit(repository, files)
        size = sum(map(len, files.values())) / 1e6
        print(f"{options.workers} workers, {options.jobs} jobs, {options.workflows} workflows, {size:.2f} MB of YAML")
        print(f"{'what':56} {'seconds':>8}  {'CPU s':>8}  {'peak MB':>8}")
        for measured in passes(repository, "peers"):
            row(*measured)
        tree = Path(folder) / "fast-import"
        passes(repository, "export", str(tree))
        timed("git fast-import of the rendered tree, one pack, fsync", fast_import(Path(folder) / "copy.git"), tree)
        for measured in passes(repository, "passes"):
            row(*measured)
        plan = [*GITOPSD, "--repo", str(repository), "plan", "--json"]
        timed("python -c pass, whole process", [sys.executable, "-c", "pass"])
        timed("gitopsd --version, whole process", [*GITOPSD, "--version"])
        timed("gitopsd check, whole process", [*GITOPSD, "--repo", str(repository), "check"])
        timed("gitopsd plan, nothing deployed yet, whole process", plan)
        passes(repository, "deploy")
        timed("gitopsd plan, nothing changed, whole process", plan)
        changed = repository / "workflows" / "flow-000.yaml"
        changed.write_text(changed.read_text().replace("mode: tail", "mode: once", 1))
        timed("gitopsd plan, one step changed, whole process", plan)


def commit(repository: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(content)
    author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], [*author, "commit", "-q", "-m", "generated"]):
        subprocess.run(["git", "-C", str(repository), *arguments], check=True)


def passes(repository: Path, what: str, *arguments: str) -> list[tuple[str, float, float, float]]:
    """Rows that benchmarks/plan_passes.py measures in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.plan_passes", what, str(repository), *arguments]
    rows: list[tuple[str, float, float, float]] = json.loads(subprocess.check_output(command, cwd=ROOT))
    return rows


def fast_import(repository: Path) -> list[str]:
    subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    options = ["-c", "fastimport.unpackLimit=0", "-c", "core.fsync=all"]
    return ["git", "-C", str(repository), *options, "fast-import", "--quiet"]


def timed(name: str, command: list[str], stdin: Path | None = None) -> None:
    """One whole process: wall and CPU time, and its peak memory. Our own, 15 MB, is the least that shows."""
    with (stdin or Path(os.devnull)).open("rb") as source:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    row(name, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def row(name: str, seconds: float, cpu: float, peak: float) -> None:
    print(f"{name:56} {seconds:8.3f}  {cpu:8.3f}  {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
