"""The directory of a run on this machine: a release as workers have them, sockets, states, logs, what came out."""

import compileall
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gitopsd.model.trees import TreeFile
from gitopsd.runner.bundle import runtime_files

_LONGEST = 60
"""Bytes of the directory that temporary files go to: below it lie sockets, whose paths are limited to 107."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """Used for one run after the other; `clear` comes between them."""

    root: Path

    @property
    def release(self) -> Path:
        return self.root / "releases" / "local"

    @property
    def sockets(self) -> Path:
        return self.root / "run" / "s"

    @property
    def launcher(self) -> Path:
        return self.release / "runtime" / "launch.py"

    def state(self, job: str) -> Path:
        return self.root / "state" / job

    def log(self, job: str) -> Path:
        return self.root / "log" / job

    def came_out(self, tap: str) -> Path:
        return self.root / "taps" / tap

    def put(self, files: Mapping[str, TreeFile]) -> None:
        """Files of jobs, by path in the release."""
        for path, file in files.items():
            target = self.release / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data)
            target.chmod(0o755 if file.executable else 0o644)

    def clear(self) -> None:
        """Makes room for the next run; the runtime stays."""
        for folder in (self.release / "jobs", self.root / "run", self.root / "state", self.root / "log",
                       self.root / "taps"):  # fmt: skip
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.sockets, self.root / "log", self.root / "taps"):
            folder.mkdir(parents=True)


@contextmanager
def local_folder(*, for_many: bool = False) -> Iterator[LocalFolder]:
    """A new one, removed at the end. `for_many` runs the runtime is compiled, which each process would do by itself."""
    short = len(os.fsencode(tempfile.gettempdir())) <= _LONGEST
    with tempfile.TemporaryDirectory(prefix="gitopsd-run-", dir=None if short else "/tmp") as name:  # noqa: S108
        folder = LocalFolder(Path(name))
        folder.put({f"runtime/{path}": TreeFile(data, executable) for path, (data, executable) in _runtime()})
        folder.clear()
        if for_many:
            compileall.compile_dir(folder.release / "runtime", quiet=2)
        yield folder


def _runtime() -> list[tuple[str, tuple[bytes, bool]]]:
    return list(runtime_files().items())
