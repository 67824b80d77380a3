"""The test's side of tests/crash/controller.py: commands of gitopsd as processes to be watched, interrupted, killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.operator import Operator


@dataclass(kw_only=True)
class Command:
    """A command under way, or over: then `code` is its exit code, minus the signal if it was killed."""

    pid: int
    arguments: tuple[str, ...]
    stdout: Path
    stderr: Path
    server: CommandServer
    code: int | None = None

    def is_over(self) -> bool:
        if self.code is None:
            self.code = self.server.ask({"wait": self.pid})["code"]
        return self.code is not None

    def wait(self, seconds: float) -> bool:
        """Whether it ended by itself in time."""
        end = time.monotonic() + seconds
        while not self.is_over():
            if time.monotonic() >= end:
                return False
            time.sleep(0.005)
        return True

    def signal(self, number: signal.Signals) -> None:
        if not self.is_over():
            os.kill(self.pid, number)

    def stop(self, patience: float) -> None:
        """End it as a person would: wait, Ctrl-C, and kill -9 when even that takes too long."""
        if self.wait(patience):
            return
        self.signal(signal.SIGINT)
        if not self.wait(10.0):
            self.signal(signal.SIGKILL)
            assert self.wait(10.0), f"{self} can't be killed"

    def said(self) -> str:
        return f"{self.arguments} gave {self.code}\n{self.stdout.read_text()}\n{self.stderr.read_text()}"


@dataclass(kw_only=True)
class CommandServer:
    """Starts commands for an operator."""

    operator: Operator
    outputs: Path
    _process: subprocess.Popen[str] = field(init=False)
    _started: int = 0

    def __enter__(self) -> Self:
        self.outputs.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.controller"],
            cwd=Path(__file__).parent.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10.0)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def start(self, *arguments: str, points: Path | None = None) -> Command:
        self._started += 1
        stdout, stderr = (self.outputs / f"{self._started % 4}.{name}" for name in ("out", "err"))
        for file in (stdout, stderr):
            file.unlink(missing_ok=True)
        config = ["--config", str(self.operator.config)] if self.operator.config else []
        request = {
            "arguments": [*config, *arguments],
            "cwd": str(self.operator.folder),
            "environment": self.operator.environment(),
            "stdout": str(stdout),
            "stderr": str(stderr),
            "points": None if points is None else str(points),
        }
        pid = self.ask(request)["pid"]
        return Command(pid=pid, arguments=arguments, stdout=stdout, stderr=stderr, server=self)

    def run(self, *arguments: str, seconds: float = 120.0) -> Command:
        command = self.start(*arguments)
        if not command.wait(seconds):
            command.signal(signal.SIGKILL)
            command.wait(10.0)
        return command

    def ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
