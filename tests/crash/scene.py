"""One machine, one operator, one repository with a remote: where points are tried one after another."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash import points, worker_points
from tests.crash.commands import Command, CommandServer
from tests.crash.versions import COMING_AND_GOING, constant_files, files
from tests.fleet.base_image import base_image
from tests.fleet.commands import execute
from tests.fleet.mounts import mount_tmpfs
from tests.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.machine import Machine

DATA, SYSTEM = "/var/lib/gitopsd", "/etc/systemd/system"
DISKS = {DATA: "24m", SYSTEM: "4m"}
_HOME_SIZE = "256m"
_PYTHON_PATH = "usr/lib/python3/dist-packages"
# so many releases that an activation always has some to prune
_OLD_RELEASES = 5
_REPACK_EVERY = 20


@dataclass(kw_only=True)
class Scene:
    """`home` is a small disk of its own with all that the controller has; its remote lies outside of it."""

    machine: Machine
    operator: Operator
    commands: CommandServer
    home: Path
    controller_points: Path
    version: int = 0

    def worker_points(self) -> Path:
        """The folder of the machine's points, as seen from here: /run of a machine is in no mount of ours."""
        leader = self.machine.container.leader()
        return Path(f"/proc/{leader}/root{worker_points.FOLDER}")

    def advance(self) -> None:
        """A new version of everything to apply: of the source, of the secret, and old releases to prune."""
        self.version += 1
        if self._has(COMING_AND_GOING[self.version % 2]):
            self.version += 1  # the one before was never deployed: no job would come or go now
        self.operator.write(files(self.version))
        self.operator.commit(f"Version {self.version}")
        token = self.home / "token"
        token.touch(mode=0o600)
        token.write_text(f"token {self.version}")
        releases = self.machine.root / DATA.lstrip("/") / "releases"
        if releases.is_dir():
            for _ in range(_OLD_RELEASES):
                (releases / secrets.token_hex(20)).mkdir()
        if self.version % _REPACK_EVERY == 0:
            self.operator.git("repack", "-adq")
            self.operator.git("--git-dir", str(self.home.parent / "origin.git"), "repack", "-adq")

    def _has(self, job: str) -> bool:
        """Whether the deployment at the head of the remote's artifact branch has it."""
        origin = ("--git-dir", str(self.home.parent / "origin.git"))
        if not self.operator.git(*origin, "for-each-ref", "refs/heads/rendered/production"):
            return False
        path = f"workers/{self.machine.name}/jobs/{job}"
        return bool(self.operator.git(*origin, "ls-tree", "rendered/production", path))

    def plan(self, where: Path | None, point: str, action: str) -> None:
        """Empty both logs of points, and have `action` happen at `point` of `where`."""
        for folder in (self.controller_points, self.worker_points()):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            plan = {"point": point, "action": action} if folder == where else {}
            (folder / "plan").write_text(json.dumps(plan))

    def forget_plan(self) -> None:
        """From now on nothing is watched."""
        for folder in (self.controller_points, self.worker_points()):
            shutil.rmtree(folder, ignore_errors=True)

    def start_apply(self) -> Command:
        return self.commands.start("apply", points=self.controller_points)

    def head(self) -> str:
        """The release that the worker should hold: from the remote, whatever this clone believes."""
        name = f"rendered/production:workers/{self.machine.name}"
        return self.operator.git("--git-dir", str(self.home.parent / "origin.git"), "rev-parse", name)


@contextlib.contextmanager
def scene(machine: Machine, folder: Path) -> Iterator[Scene]:
    """A machine with what the first version deploys; `folder` is empty."""
    home = folder / "home"
    mount_tmpfs(home, size=_HOME_SIZE)
    try:
        config = home / "config.yaml"
        config.write_text(
            f"ssh: {{identity: {machine.client_key}}}\n"
            f"secrets: {{token: {{file: {home / 'token'}, workflows: [orders]}}}}\n"
        )
        operator = Operator(folder=home / "repository", home=home, config=config)
        operator.run("init", str(operator.folder))
        operator.git("init", "--quiet", "--bare", str(folder / "origin.git"))
        operator.git("remote", "add", "origin", str(folder / "origin.git"))
        operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
        operator.write(constant_files(machine))
        _watch_agents(machine)
        with CommandServer(operator=operator, outputs=folder / "outputs") as commands:
            one = Scene(
                machine=machine,
                operator=operator,
                commands=commands,
                home=home,
                controller_points=folder / "points",
            )
            one.advance()
            first = commands.run("apply")
            assert first.code == 0, first.said()
            yield one
    finally:
        execute(["umount", "--lazy", str(home)])


def _watch_agents(machine: Machine) -> None:
    packages = machine.root / _PYTHON_PATH
    (packages / "gitopsd_points.py").write_bytes(Path(points.__file__).read_bytes())
    (packages / "gitopsd_worker_points.py").write_bytes(Path(worker_points.__file__).read_bytes())
    (packages / "gitopsd-points.pth").write_text("import gitopsd_worker_points\n")


def disks(folder: Path) -> dict[str, Path]:
    """Where what a machine has in SYSTEM lies on a small disk of its own; DATA gets one from the fleet itself."""
    system = folder / "system"
    mount_tmpfs(system, size=DISKS[SYSTEM])
    shutil.copytree(base_image() / SYSTEM.lstrip("/"), system, symlinks=True, dirs_exist_ok=True)
    return {SYSTEM: system}


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk of a folder; the file to remove again."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536)
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)
    assert os.statvfs(folder).f_bavail == 0
    return ballast
