"""A worker's directory with a release in it, and its jobs as real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gitopsd.runner.bundle import runtime_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEADLINE = 120.0
RUNNER = ["python3", "-IB", "../../runtime/runner"]

Endpoint = dict[str, Any]


class Process(subprocess.Popen[bytes]):
    """A started job; its stderr lies in a file, so that nothing ever waits for a reader."""

    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """SIGTERM once it is caught: before that it ends the process at once. The exit code."""
        until(lambda: self.poll() is not None or self._catches(signal.SIGTERM))
        self.send_signal(signal.SIGTERM)
        return self.wait(DEADLINE)

    def _catches(self, number: signal.Signals) -> bool:
        mask = Path(f"/proc/{self.pid}/status").read_text().partition("SigCgt:")[2].split()
        return bool(int(mask[0], 16) >> (number - 1) & 1) if mask else False

    def finish(self) -> int:
        return self.wait(DEADLINE)


@dataclass
class Station:
    """Everything lies below `root`: release, state, sockets, inputs, outputs, stores."""

    root: Path
    run: Path
    interpreter: str = sys.executable
    started: list[Process] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("in", "out", "mnt"):
            (self.root / name).mkdir()
        for path, (content, _executable) in runtime_files().items():
            file = self.release / "runtime" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    @property
    def release(self) -> Path:
        return self.root / "releases" / "r1"

    def directory(self, job: str) -> Path:
        return self.release / "jobs" / job

    def state(self, job: str) -> Path:
        return self.root / "state" / job

    def describe(self, job: str, *, kind: str = "service", command: list[str] = RUNNER, **more: object) -> None:
        directory = self.directory(job)
        (directory / "files").mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": 1, "job": job, "kind": kind, "exec": command, **more}, indent=2, sort_keys=True)
        (directory / "job.json").write_text(text + "\n", encoding="utf-8")

    def runner(
        self,
        job: str,
        role: str,
        settings: dict[str, Any] | None = None,
        *,
        inputs: list[Endpoint] | None = None,
        outputs: dict[str, list[Endpoint]] | list[Endpoint] | None = None,
        kind: str = "service",
    ) -> str:
        ports = {"default": outputs} if isinstance(outputs, list) else outputs or {}
        runner = {
            "role": role,
            "with": settings or {},
            "inputs": {"default": inputs} if inputs else {},
            "outputs": ports,
        }
        self.describe(job, kind=kind, runner=runner)
        return job

    def start(self, job: str, **environment: str) -> Process:
        log = self.root / f"{job}.{len(self.started)}.log"
        with log.open("wb") as file:
            process = Process(
                [self.interpreter, "-IB", str(self.release / "runtime" / "launch.py"), job],
                stderr=file,
                stdout=file,
                env={**os.environ, "GITOPSD_RUN": str(self.run), **self.environment, **environment},
            )
        process.log = log
        self.started.append(process)
        return process

    def hasten(self, module: str, name: str, seconds: float) -> None:
        """From now on jobs go by another constant of one of the runner's modules."""
        file = self.release / "runtime/runner/gitopsd/runner" / module
        text, found = re.subn(rf"(?m)^{name} = [0-9.]+$", f"{name} = {seconds}", file.read_text())
        assert found == 1, (module, name)
        file.write_text(text)

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()

    # The jobs that most tests are about

    def reads(self, outputs: list[Endpoint], *, job: str = "o.collect.0", glob: str = "in/*", **settings: str) -> str:
        return self.runner(job, "read-files", {"glob": str(self.root / glob), **settings}, outputs=outputs)

    def writes(self, inputs: list[Endpoint], *, job: str = "o.deliver.0", **settings: int) -> str:
        return self.runner(job, "write-files", {"path": str(self.root / "out"), **settings}, inputs=inputs)

    def put(self, name: str, content: bytes) -> Path:
        path = self.root / "in" / name
        path.write_bytes(content)
        return path

    def written(self, job: str = "*") -> bytes:
        return b"".join(path.read_bytes() for path in sorted((self.root / "out").glob(f"{job}.*.jsonl")))

    def lines(self, job: str = "*") -> list[bytes]:
        """Whole lines only: the last one of each file may still be on its way."""
        files = (path.read_bytes() for path in sorted((self.root / "out").glob(f"{job}.*.jsonl")))
        return [line for file in files for line in file.split(b"\n")[:-1]]


def until(condition: Callable[[], bool], *alive: Process) -> None:
    """Wait for a condition, but not for longer than DEADLINE nor after one of `alive` has ended."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        for process in alive:
            if process.poll() is not None:
                if condition():
                    return
                raise AssertionError(f"{process.args!r} ended with {process.returncode}: {process.said()}")
        if time.monotonic() > deadline:
            raise AssertionError("nothing came of it: " + "; ".join(process.said() for process in alive))
        time.sleep(0.02)


def events(count: int, start: int = 0, filler: int = 20) -> bytes:
    return b"".join(b'{"n":%d,"text":"%s"}\n' % (number, b"x" * filler) for number in range(start, start + count))


def numbers(lines: Iterable[bytes]) -> list[int]:
    return [json.loads(line)["n"] for line in lines]


class Log:
    """A file that a test goes on writing, as a program writes its log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[bytes] = path.open("ab", buffering=0)

    def add(self, data: bytes) -> None:
        self.file.write(data)

    def rename(self, name: str) -> None:
        """As logrotate does it: the old file under another name, a new one in its place."""
        self.file.close()
        self.path.rename(self.path.with_name(name))
        self.file = self.path.open("ab", buffering=0)
