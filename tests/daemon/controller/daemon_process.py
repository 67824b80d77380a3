"""A daemon of the tests: a bare repository that people push to, and `gitopsd daemon` on it as a real process."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.operator import Operator, eventually

IDENTITY = ("-c", "user.name=Operator", "-c", "user.email=operator@example.invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`operator` works in a clone and pushes to `bare`; the configuration is the daemon's, and the operator's too."""

    operator: Operator
    bare: Path

    @property
    def log(self) -> Path:
        return self.operator.home / "daemon.log"

    @property
    def socket(self) -> Path:
        return self.operator.home / "control.sock"

    def push(self, *more: str) -> str:
        self.operator.git("push", "--quiet", *more, "origin", "HEAD:main")
        return self.operator.git("rev-parse", "HEAD")

    def configure(self, **more: object) -> None:
        chosen = {
            "repository": str(self.bare),
            "listen": {"control": str(self.socket)},
            "intervals": {"poll": "1s", "reconcile": "2s"},
            **more,
        }
        (self.operator.home / "config.yaml").write_text(json.dumps(chosen))

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """What the daemon said, of one kind or all, oldest first."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in told if kind in {"", one.get("event")}]

    def deployment(self, environment: str = "local") -> int:
        """The number of the newest one that was committed."""
        done = subprocess.run(
            ["git", "log", "-1", "--grep=^Deployment:", "--format=%(trailers:key=Deployment,valueonly)",
             f"rendered/{environment}"],
            cwd=self.bare, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        return int(done.stdout.strip() or 0) if done.returncode == 0 else 0

    def converged(self, deployment: int, environment: str = "local") -> bool:
        """Whether all that can be done about that deployment was done."""
        return any(
            one["deployment"] == deployment and one["environment"] == environment for one in self.events("converged")
        )


class Daemon:
    """The process; `kill` is as by a power cut, `stop` as by systemd."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, timeout: float = 30.0) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def reload(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        if self._process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                raise


@contextmanager
def daemon(site: Site, *options: str, log: Path | None = None) -> Iterator[Daemon]:
    """Runs for the length of a `with`."""
    operator = site.operator
    with (log or site.log).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gitopsd", "--config", str(operator.home / "config.yaml"), *options, "daemon",
             "--log-format", "json"],
            cwd=operator.home, env=operator.environment() | {"PYTHONPATH": str(Path.cwd())}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip
    running = Daemon(process)
    try:
        yield running
    finally:
        running.end()


def make_site(home: Path, operator: Operator) -> Site:
    """The operator's repository, with a bare one as its remote, in which nothing is deployed yet."""
    bare = home / "fleet.git"
    operator.git("clone", "--quiet", "--bare", ".", str(bare))
    operator.git("remote", "add", "origin", str(bare))
    operator.git("fetch", "--quiet")
    site = Site(operator=replace(operator, config=home / "config.yaml"), bare=bare)
    site.configure()
    return site


def wait_for_deployment(site: Site, number: int, environment: str = "local") -> None:
    eventually(f"deployment {number} of {environment} is rolled out", lambda: site.converged(number, environment))
