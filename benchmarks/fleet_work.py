"""What is deployed: 20 files of 41 KB in all, and 5 units, of which each round changes one.

Every tool makes the same files current and installs the same units on the same machines: those that gitopsd renders,
for the others under names and in a directory of their own (`bench-…`, /srv/bench).
"""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import environment
from gitopsd.repo.initialise import commit_work_tree, initialise
from tests.fleet.machine import Machine

STEPS = ("a", "b", "c", "d", "e")
PEER = "srv/bench/current"
_UNITS = "etc/systemd/system"
_SIZE = 2080
_BLUEPRINT = """\
blueprint: sleeper
params: {word: {type: string}, nice: {type: integer, minimum: 0, maximum: 19, default: 0}}
job:
  exec: [/bin/sleep, infinity]
  files:
    one.txt: {from: files/one.txt}
    two.txt: {from: files/two.txt}
    three.txt: {from: files/three.txt}
    word.txt: "${{ params.word }}\\n%s\\n"
  unit: {Nice: "${{ params.nice }}"}
"""


@dataclass(slots=True, kw_only=True)
class Work:
    home: Path
    machines: Mapping[str, Machine]
    round: int = 0
    parameters: dict[str, dict[str, str]] = field(default_factory=lambda: {step: {"word": "first"} for step in STEPS})

    @property
    def repository(self) -> Path:
        return self.home / "repository"

    @property
    def config(self) -> Path:
        return self.home / "config.yaml"

    @property
    def known_hosts(self) -> Path:
        return self.home / "known_hosts"

    @property
    def client_key(self) -> Path:
        return next(iter(self.machines.values())).client_key

    @property
    def changed(self) -> str:
        """The step that this round changes: another one each time, or systemd would refuse to start it so often."""
        return STEPS[self.round % len(STEPS)]

    def make_repository(self) -> None:
        self.config.write_text(f"ssh: {{identity: {self.client_key}}}\n")
        lines = [f"{machine.address} {machine.host_key}\n" for machine in self.machines.values()]
        self.known_hosts.write_text("".join(lines))
        initialise(self.repository)
        for path in ("workflows/roundtrip.yaml", "fleets/local.yaml"):
            (self.repository / path).unlink()
        workers = {
            name: {"address": machine.address, "user": "root", "host_key": machine.host_key}
            for name, machine in self.machines.items()
        }
        self._write("gitopsd.yaml", "environments:\n  production: {fleet: fleets/production.yaml}\n")
        self._write("fleets/production.yaml", json.dumps({"groups": {"all": {"workers": workers}}}))
        self._write("blueprints/sleeper.yaml", _BLUEPRINT % ("." * (_SIZE - 10)))
        for name in ("one", "two", "three"):
            self._write(f"files/{name}.txt", f"{name}\n" + "." * (_SIZE - len(name) - 2) + "\n")
        self._write_workflow()

    def next_round(self, *, unit: bool) -> None:
        """Commit a change of one step: of one of its files, or of its unit's text as well."""
        self.round += 1
        mine = self.parameters[self.changed]
        mine["word"] = f"round-{self.round:04d}"
        if unit:
            mine["nice"] = str((int(mine.get("nice", "0")) + 1) % 20)
        self._write_workflow()

    def release(self) -> dict[str, bytes]:
        """The first worker's release as it is committed: path -> content."""
        place = f"rendered/production:workers/{next(iter(self.machines))}"
        archive = subprocess.run(
            ["git", "-C", str(self.repository), "archive", "--format=tar", place], check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            read = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in read.items() if file is not None}

    def peer_files(self) -> dict[str, bytes]:
        """What the other tools deploy of it, below /: the 20 files and the 5 units."""
        files: dict[str, bytes] = {}
        for path, content in self.release().items():
            if path.startswith("jobs/") and "/files/" in path:
                files[f"{PEER}/{path}"] = content
            elif path.startswith("units/"):
                files[f"{_UNITS}/{peer_unit(path)}"] = _peer_text(content)
        return files

    def peer_base(self) -> dict[str, bytes]:
        """What they need besides, put there beforehand: the launcher, and what it reads."""
        release = self.release()
        return {f"{PEER}/{path}": content for path, content in release.items() if not path.startswith("units/")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One `gitopsd` command as a whole process."""
        return subprocess.run(
            [sys.executable, "-m", "gitopsd", "--config", str(self.config), "--repo", str(self.repository), *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment(self.home),
        )

    def apply(self) -> None:
        done = self.run("apply", "--json")
        states = {one["worker"]: one["state"] for one in json.loads(done.stdout or '{"workers": []}')["workers"]}
        if done.returncode != 0 or len(states) != len(self.machines):
            raise RuntimeError(f"apply exited with {done.returncode}: {states}\n{done.stdout[-2000:]}{done.stderr}")

    def _write_workflow(self) -> None:
        place = f"place: {{group: all, replicas: {len(self.machines)}}}"
        steps = "".join(
            f"  {step}: {{use: blueprints/sleeper, with: {{{_listed(self.parameters[step])}}}, {place}}}\n"
            for step in STEPS
        )
        self._write("workflows/orders.yaml", f"workflow: orders\nsteps:\n{steps}")
        commit_work_tree(self.repository, f"Round {self.round}")

    def _write(self, path: str, text: str) -> None:
        target = self.repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def peer_unit(path: str) -> str:
    """units/gitopsd-orders.a.0.service -> bench-a.service"""
    return f"bench-{path.split('.')[1]}.service"


def tar_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _listed(parameters: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in parameters.items())


def _peer_text(content: bytes) -> bytes:
    text = content.decode().replace("/var/lib/gitopsd/current", f"/{PEER}")
    return text.replace("Directory=gitopsd/", "Directory=bench/").encode()
