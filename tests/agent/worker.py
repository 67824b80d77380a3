"""A built-in worker in a temporary directory, driven through the agent's process boundary."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitopsd.agent.bundle import agent_script
from tests.agent.releases import OWNER, TestRelease, activation

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 180
STARTS = 30.0


class Refused(Exception):  # noqa: N818 -- what the agent answered, not a failure of the test
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]
        self.details = error


@dataclass
class Worker:
    """A supervisor worker; `python` runs the agent, `supervisor_python` has supervisor installed."""

    directory: Path
    python: str = sys.executable
    supervisor_python: str = sys.executable
    name: str = "worker"
    _run: Path = field(init=False)

    def __post_init__(self) -> None:
        self._run = Path(tempfile.mkdtemp(prefix="gitopsd-", dir="/tmp"))
        self.agent = self.directory / "agent.py"
        self.agent.write_bytes(agent_script().content)

    @property
    def root(self) -> Path:
        return self.directory / self.name

    @property
    def run(self) -> Path:
        return self._run / self.name

    @property
    def layout(self) -> dict[str, Any]:
        return {
            "root": str(self.root),
            "run": str(self.run),
            "service_manager": "supervisor",
            "supervisor": {"python": self.supervisor_python},
        }

    def request(self, body: dict[str, Any], payload: bytes = b"") -> bytes:
        return json.dumps({"protocol": 1, "layout": self.layout, **body}).encode() + b"\n" + payload

    def process(self, verb: str, stdin: bytes, command: Sequence[str] = ("-IB",)) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.python, *command, str(self.agent), verb],
            input=stdin,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    def call(self, verb: str, body: dict[str, Any] | None = None, payload: bytes = b"") -> dict[str, Any]:
        done = self.process(verb, self.request(body or {}, payload))
        assert done.returncode == 0, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        if not answer["ok"]:
            raise Refused(answer["error"])
        return answer

    def activate(self, release: TestRelease, before: TestRelease | None = None, **changes: Any) -> dict[str, Any]:
        """Return once what was started has noted so, which supervisor doesn't wait for."""
        noted = {path.parent.name: len(self.starts(path.parent.name)) for path in self.root.glob("state/*/starts")}
        answer = self.call("activate", *activation(release, before, **changes))
        run = {*answer["started"], *answer["restarted"]} - answer["failed"].keys()
        end = time.monotonic() + STARTS
        while any(len(self.starts(job)) <= noted.get(job, 0) for job in run) and time.monotonic() < end:
            time.sleep(0.02)
        return answer

    def observe(self) -> dict[str, Any]:
        return self.call("observe", {"owner": None})

    def health(self, release: TestRelease, wait: float = 10.0, min_healthy_time: float = 0.0) -> dict[str, Any]:
        body = {"owner": None, "release": release.id, "wait": wait, "min_healthy_time": min_healthy_time}
        return self.call("health", body)

    def teardown(self) -> dict[str, Any]:
        return self.call("teardown", {"owner": OWNER["root_commit"]})

    def starts(self, job: str) -> list[str]:
        """The versions that a job was started with, in order."""
        path = self.root / "state" / job / "starts"
        return path.read_text().split() if path.exists() else []

    def close(self) -> None:
        self.call("teardown", {"owner": None, "with_copies": True})
        shutil.rmtree(self._run, ignore_errors=True)
