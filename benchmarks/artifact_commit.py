"""One artifact commit of many small files: our pack beside `git fast-import` of the same tree.

Run: python benchmarks/artifact_commit.py [FILES ...]    (default 10000 50000)
"""

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from gitopsd.model.trees import Graft, build_tree, object_id
from gitopsd.repo.commit import Identity, commit_data, write_commit
from gitopsd.repo.refs import RefUpdate, update_ref
from gitopsd.repo.repository import open_at

REF = "refs/heads/rendered/production"
AUTHOR = Identity(name="gitopsd", email="gitopsd@localhost")
FILES_IN_A_JOB = 5

Files = dict[str, tuple[bytes, bool]]
Grafted = dict[str, tuple[bytes, bool] | Graft]


def render(count: int) -> Files:
    """Files in the shape of releases: 50 jobs of five files a worker, half a kilobyte each, different everywhere."""
    rng = random.Random(1)
    files: Files = {}
    for number in range(count):
        job, file = divmod(number, FILES_IN_A_JOB)
        path = f"workers/worker-{job // 50:04}/jobs/orders-{job}.step.0/files/part-{file}.json"
        line = f'{{"job": {job}, "value": "{rng.getrandbits(256):x}"}}\n'
        files[path] = (line.encode() * rng.randint(2, 10), file == 0)
    return files


def change(files: Files) -> Files:
    """One workflow's worth: 1 % of the files, side by side."""
    changed = list(files)[: len(files) // 100]
    return files | {path: (files[path][0] + b"changed\n", files[path][1]) for path in changed}


def ids_only(_repository: Path, _before: Files, files: Files) -> Callable[[], object]:
    return lambda: build_tree(files)


def one_pack(repository: Path, _before: Files, files: Files) -> Callable[[], object]:
    return lambda: commit(repository, dict(files))


def one_pack_grafted(repository: Path, before: Files, files: Files) -> Callable[[], object]:
    """As a caller does that knows what changed: the other workers by their tree ids."""
    touched = {folder_of(path) for path, content in files.items() if content != before[path]}
    entries = build_tree(before).entries
    grafted: Grafted = {path: content for path, content in files.items() if folder_of(path) in touched}
    grafted |= {
        folder: Graft(id=entries[folder].id, mode=entries[folder].mode) for folder in {*map(folder_of, files)} - touched
    }
    return lambda: commit(repository, grafted)


def fast_import(repository: Path, _before: Files, files: Files) -> Callable[[], object]:
    options = ["-c", "fastimport.unpackLimit=0", "-c", "core.fsync=all"]

    def run() -> None:
        process = subprocess.Popen(
            ["git", "-C", str(repository), *options, "fast-import", "--quiet"], stdin=subprocess.PIPE
        )
        assert process.stdin is not None
        write = process.stdin.write
        write(b"commit %s\ncommitter gitopsd <gitopsd@localhost> 1 +0000\ndata 6\nbench\n" % REF.encode())
        if open_at(repository).ref(REF) is not None:
            write(b"from %s^0\n" % REF.encode())
        for path, (data, executable) in files.items():
            mode = 100755 if executable else 100644
            write(b"M %d inline %s\ndata %d\n%s\n" % (mode, path.encode(), len(data), data))
        process.stdin.close()
        assert process.wait() == 0

    return run


def commit(repository: Path, files: Grafted) -> None:
    opened = open_at(repository)
    parent = opened.ref(REF)
    new = write_commit(opened, build_tree(files), parent=parent, message="bench\n", author=AUTHOR, now=1)
    update_ref(opened, RefUpdate(ref=REF, new=new, old=parent), reason="bench")


def folder_of(path: str) -> str:
    return "/".join(path.split("/")[:2])


Way = Callable[[Path, Files, Files], Callable[[], object]]


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [10_000, 50_000]
    print(f"{'files':>7}  {'what':44} {'seconds':>8}  {'peak MB':>8}  {'git MB':>7}  {'disk MB':>8}")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            report(
                count, "ids of all trees and blobs, nothing written", ids_only, repository(root / "a"), changed=False
            )
            report(count, "one pack + ref", one_pack, root / "a", changed=False)
            shutil.copytree(root / "a", root / "b")
            report(count, "  1 % change, every file given", one_pack, root / "a", changed=True)
            report(count, "  1 % change, other workers grafted", one_pack_grafted, root / "b", changed=True)
            report(count, "git fast-import, one pack, fsync", fast_import, repository(root / "c"), changed=False)
            report(count, "  1 % change, every file given", fast_import, root / "c", changed=True)
            check_same([root / name for name in "abc"])


def check_same(repositories: list[Path]) -> None:
    trees = set()
    for path in repositories:
        subprocess.run(["git", "-C", str(path), "fsck", "--strict", "--no-dangling"], check=True, capture_output=True)
        trees.add(subprocess.check_output(["git", "-C", str(path), "rev-parse", f"{REF}^{{tree}}"]))
    assert len(trees) == 1, "the ways disagree"


def repository(path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    data = commit_data(tree=build_tree({}).id, parent=None, message="x\n", author=AUTHOR, now=1)
    for kind, content in (("tree", b""), ("commit", data)):
        write = ["git", "-C", str(path), "hash-object", "-w", "-t", kind, "--stdin"]
        subprocess.run(write, input=content, check=True, capture_output=True)
    subprocess.run(["git", "-C", str(path), "update-ref", "refs/heads/main", object_id("commit", data)], check=True)
    return path


def report(count: int, name: str, way: Way, path: Path, *, changed: bool) -> None:
    """One row, measured in a process of its own, so that its peak memory is its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=measure, args=(theirs, count, way, path, changed))
    process.start()
    seconds, own, children = ours.recv()
    process.join()
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    print(f"{count:7}  {name:44} {seconds:8.3f}  {own:8.0f}  {children:7.0f}  {disk:8.1f}", flush=True)


def measure(pipe: Connection, count: int, way: Way, path: Path, changed: bool) -> None:
    before = render(count)
    run = way(path, before, change(before) if changed else before)
    os.sync()
    children = ChildrenPeak()
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, children.stop()))


class ChildrenPeak:
    """Peak memory in MB of child processes, sampled: `ru_maxrss` of a child counts what it shared before its exec."""

    def __init__(self) -> None:
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return self._peak / 1024

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            for task in Path("/proc/self/task").iterdir():
                for child in (task / "children").read_text().split():
                    self._peak = max(self._peak, self._high_water(child))

    @staticmethod
    def _high_water(child: str) -> int:
        try:
            if (Path("/proc") / child / "comm").read_text().strip() != "git":
                return 0
            status = (Path("/proc") / child / "status").read_text()
        except OSError:
            return 0  # it has ended
        return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()
