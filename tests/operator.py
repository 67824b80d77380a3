"""A person at a terminal: a workflow repository, an operator's configuration, and the command line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEADLINE = 120.0
AWAY_FLEET = """\
groups:
  local:
    workers:
      local-1:
        address: 127.0.0.1
        port: 9
        host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Works in `folder`; everything that gitopsd keeps for a user goes below `home`."""

    folder: Path
    home: Path
    config: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, expect: int | None = 0, timeout: float = DEADLINE) -> Ran:
        config = ["--config", str(self.config)] if self.config else []
        done = subprocess.run(
            [sys.executable, "-m", "gitopsd", *config, *arguments],
            cwd=self.folder if self.folder.exists() else self.folder.parent,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        ran = Ran(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
        assert "--debug" in arguments or "Traceback" not in done.stderr, done.stderr
        if expect is not None:
            assert ran.code == expect, f"{arguments} gave {ran.code}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "GIT_"))}
        return {**kept, "HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state"), **self.variables}

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def commit(self, message: str, *only: str) -> str:
        """Commit what differs, or `only` these paths: jobs may write to the work tree."""
        identity = ["-c", "user.name=Operator", "-c", "user.email=operator@example.invalid"]
        self.git("add", "--all", *only)
        self.git(*identity, "commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.strip()


def local_operator(home: Path) -> Operator:
    """An operator with a repository from the template, whose only worker is this machine."""
    operator = Operator(folder=home / "repository", home=home)
    operator.run("init", str(operator.folder))
    return operator


def away_operator(home: Path) -> Operator:
    """The same, but its one worker is never there, so that deploying is only committing; deployed once."""
    operator = local_operator(home)
    operator.write({"fleets/local.yaml": AWAY_FLEET})
    operator.commit("A worker that is away")
    operator.run("apply", expect=4)
    return operator


def eventually(what: str, condition: Callable[[], bool], timeout: float = DEADLINE) -> None:
    """Waits for a condition; fails naming it when the deadline passes."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.1)
