"""A daemon of the tests: a bare repository that people push to, and `gitopsd daemon` on it as a real process."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
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

    def deployments(self, environment: str = "local") -> dict[int, str]:
        """Number -> commit of all that were committed."""
        done = subprocess.run(
            ["git", "log", "--grep=^Deployment:", "--format=%(trailers:key=Deployment,valueonly,separator=) %H",
             f"rendered/{environment}"],
            cwd=self.bare, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        lines = [line.split() for line in done.stdout.splitlines()] if done.returncode == 0 else []
        return {int(number): commit for number, commit in lines}

    def note(self, deployment: int, environment: str = "local") -> Any:
        """What was recorded of a deployment; None where nothing was."""
        commit = self.deployments(environment).get(deployment, "")
        done = subprocess.run(
            ["git", "notes", "--ref", f"gitopsd/{environment}", "show", commit or "HEAD"],
            cwd=self.bare, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        return json.loads(done.stdout) if commit and done.returncode == 0 else None

    def last_rollout(self, deployment: int, environment: str = "local") -> dict[str, Any]:
        """Of the newest rollout that was recorded of it; empty before that."""
        note = self.note(deployment, environment)
        found: dict[str, Any] = note["rollouts"][-1] if note and note["rollouts"] else {}
        return found

    def rolled_out(self, deployment: int, environment: str = "local") -> bool:
        counts = self.last_rollout(deployment, environment).get("counts", {})
        return bool(counts) and set(counts) <= {"converged", "in-sync"}

    def state(self) -> dict[str, Any]:
        """What the controller says of itself over its socket; empty where none answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b'{"request": "state"}\n')
                found: dict[str, Any] = json.loads(connection.makefile().readline() or "{}")
            except OSError:
                return {}
        return found

    def outcome(self, environment: str = "local") -> dict[str, Any]:
        """What became of the newest version that the controller tried to deploy."""
        return self.state().get("environments", {}).get(environment, {}).get("outcome") or {}


class Daemon:
    """The process; `kill` is as by a power cut, `stop` as by systemd."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, timeout: float = 60.0) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)

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
def daemon(site: Site, *options: str, log: Path | None = None, prefix: Sequence[str] = ()) -> Iterator[Daemon]:
    """Runs for the length of a `with`. `prefix`: a command that becomes it."""
    operator = site.operator
    with (log or site.log).open("ab") as output:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "gitopsd", "--config", str(operator.home / "config.yaml"), *options,
             "daemon"],
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
    eventually(f"deployment {number} of {environment} is rolled out", lambda: site.rolled_out(number, environment))


def wait_for_outcome(site: Site, event: str, source: str, environment: str = "local") -> dict[str, Any]:
    """What the controller says once it came to that with the version."""

    def came_to_that() -> bool:
        outcome = site.outcome(environment)
        return (outcome.get("event"), outcome.get("source")) == (event, source)

    eventually(f"{source[:12]} is {event} in {environment}", came_to_that)
    return site.outcome(environment)
