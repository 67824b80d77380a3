"""A machine that gitopsd is installed on as pipx would, with a bare repository that people push to."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fleet.commands import Result
from tests.fleet.controller_image import ENVIRONMENT
from tests.fleet.machine import Machine

REPOSITORY = "/srv/git/fleet.git"
OWNER = "git"

_WORK = "/srv/git/work"
_GIT = ("git", "-c", "user.name=Operator", "-c", "user.email=operator@example.invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerMachine:
    machine: Machine

    def install(self, wheel: Path) -> None:
        """Everything that it depends on is in the image."""
        (self.machine.root / "opt" / wheel.name).write_bytes(wheel.read_bytes())
        pip = [f"{ENVIRONMENT}/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        self.machine.run([*pip, f"/opt/{wheel.name}"], timeout=120)

    def gitopsd(self, *arguments: str, check: bool = True, timeout: float = 120) -> Result:
        return self.machine.run(["gitopsd", *arguments], check=check, timeout=timeout)

    def put(self, path: str, text: str, *, mode: str = "644", group: str = "root") -> None:
        script = 'mkdir -p "${0%/*}" && cat > "$0" && chmod "$1" "$0" && chgrp "$2" "$0"'
        self.machine.run(["sh", "-c", script, path, mode, group], input=text)

    def make_repository(self, files: Mapping[str, str]) -> None:
        """A bare one, of an account that people push as over SSH with the key that opens every machine."""
        self.machine.run(
            ["useradd", "--system", "--create-home", "--home-dir", "/srv/git", "--shell", "/bin/sh", OWNER]
        )
        self.machine.run(["cp", "-r", "/root/.ssh", "/srv/git/.ssh"])
        self.machine.run(["chown", "-R", f"{OWNER}:", "/srv/git"])
        self._as_owner("git", "init", "--quiet", "--bare", "--initial-branch=main", REPOSITORY)
        self._as_owner("git", "clone", "--quiet", REPOSITORY, _WORK)
        self.push("A fleet", files)

    def push(self, message: str, files: Mapping[str, str]) -> str:
        """The commit, which people made in a clone."""
        for path, text in files.items():
            self._as_owner("sh", "-c", f'mkdir -p "$(dirname {path})" && cat > {path}', folder=_WORK, text=text)
        self._as_owner("git", "add", "--all", folder=_WORK)
        self._as_owner(*_GIT, "commit", "--quiet", "--message", message, folder=_WORK)
        self._as_owner("git", "push", "--quiet", "origin", "HEAD:main", folder=_WORK)
        return self._as_owner("git", "rev-parse", "HEAD", folder=_WORK).stdout.strip()

    def service(self, *names: str) -> dict[str, str]:
        """What systemd knows of the service."""
        shown = self.machine.run(["systemctl", "show", "gitopsd", *(f"--property={name}" for name in names)]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def process(self) -> int:
        return int(self.service("MainPID")["MainPID"])

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries of the service with these fields, oldest first."""
        command = ["journalctl", "--unit=gitopsd", "--output=json", *matches]
        return [json.loads(line) for line in self.machine.run(command, check=False).stdout.splitlines()]

    def get(self, path: str) -> tuple[int, str]:
        """What the metrics' address answers: status and text."""
        script = (
            "import sys, urllib.error, urllib.request as web\n"
            "try: answer = web.urlopen('http://127.0.0.1:9464' + sys.argv[1], timeout=10)\n"
            "except urllib.error.HTTPError as error: answer = error\n"
            "print(answer.status); print(answer.read().decode())"
        )
        status, _, text = self.machine.run(["python3", "-c", script, path]).stdout.partition("\n")
        return int(status), text

    def _as_owner(self, *command: str, folder: str = "/srv/git", text: str = "") -> Result:
        line = f"cd {folder} && exec {shlex.join(command)}"
        return self.machine.run(["runuser", "-u", OWNER, "--", "sh", "-c", line], input=text)
