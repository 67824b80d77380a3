"""Whether a worker is exactly at the head of the artifact branch, told without the code that brought it there."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from gitopsd.agent.githash import read_directory, tree_id
from tests.crash.scene import DATA, SYSTEM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.scene import Scene

_SHOWN = ("Id", "ActiveState", "SubState", "Result", "MainPID", "NeedDaemonReload", "UnitFileState")


def differences(scene: Scene) -> list[str]:
    """What is not as the head says, each in a sentence; empty when the worker is exactly there."""
    root = scene.machine.root
    release = root / DATA.lstrip("/") / "releases" / scene.head()
    current = root / DATA.lstrip("/") / "current"
    led_to = os.readlink(current) if current.is_symlink() else "nothing"  # noqa: PTH115 -- what the link says exactly
    if led_to != f"releases/{release.name}":
        return [f"current leads to {led_to}, the head is {release.name}"]
    if tree_id(read_directory(release)) != release.name:
        return ["the files of the release are not those of the head"]
    return [*_unit_files(root, release), *_left_over(root), *_processes(scene, release), *_secret(scene, root)]


def _unit_files(root: Path, release: Path) -> list[str]:
    wanted = {path.name: path.read_bytes() for path in (release / "units").iterdir()}
    found = {path.name: path for path in (root / SYSTEM.lstrip("/")).glob("gitopsd-orders.*.0.*")}
    problems = [f"{name} belongs to no job" for name in sorted(found.keys() - wanted.keys())]
    problems += [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} has other text" for name, path in found.items() if wanted.get(name) != path.read_bytes()]
    links = {path.name for path in (root / SYSTEM.lstrip("/")).glob("*.wants/gitopsd-orders.*.0.*")}
    return problems + [f"the boot links are of {sorted(links)}" for _ in [0] if links != wanted.keys()]


def _left_over(root: Path) -> list[str]:
    data, system = root / DATA.lstrip("/"), root / SYSTEM.lstrip("/")
    patterns = (
        ".*.new",
        "credentials/.*.new",
        "credentials/staging",
        "staging/*",
        "activating",
        "switch.json",
        "rolling-back.json",
    )
    left = [path for pattern in patterns for path in data.glob(pattern)]
    left += [*system.glob(".gitopsd-*.new"), *system.glob("*.wants/.gitopsd-*.new")]
    return [f"{path.relative_to(root)} was left behind" for path in left]


def _processes(scene: Scene, release: Path) -> list[str]:
    jobs = json.loads((release / "release.json").read_bytes())["jobs"]
    units = [job["unit"] for job in jobs.values()]
    script = f"systemctl show -p {','.join(_SHOWN)} {' '.join(units)}; echo; systemctl list-units --failed --plain -q"
    blocks = scene.machine.run(["sh", "-c", script]).stdout.split("\n\n")
    problems = [f"failed: {line}" for line in blocks.pop().splitlines()]
    for block in blocks:
        shown = dict(line.split("=", 1) for line in block.splitlines() if line)
        name = shown["Id"].removeprefix("gitopsd-").removesuffix(".service")
        problems += _process(scene, release, name, jobs[name]["kind"], shown)
    return problems


def _process(scene: Scene, release: Path, job: str, kind: str, shown: dict[str, str]) -> list[str]:
    if shown["NeedDaemonReload"] != "no":
        return [f"systemd has not read the unit of {job}"]
    if shown["UnitFileState"] != "enabled":
        return [f"{job} is {shown['UnitFileState']}"]
    if kind == "once":
        done = scene.machine.root / DATA.lstrip("/") / "state" / job / "completed"
        ran = shown["Result"] == "success" and (shown["ActiveState"] in {"activating", "active"} or done.exists())
        return [] if ran else [f"{job} did not run: {shown['ActiveState']}, {shown['Result']}"]
    if (shown["ActiveState"], shown["SubState"]) != ("active", "running"):
        return [f"{job} is {shown['ActiveState']} ({shown['SubState']})"]
    wanted = json.loads((release / "jobs" / job / "job.json").read_bytes())["exec"][1:]
    words = scene.machine.run(["cat", f"/proc/{shown['MainPID']}/cmdline"]).stdout.split("\0")[1:-1]
    # the launcher names a job's files by where they lie, in the release that the job was started from
    has = [re.sub(rf"^{DATA}/releases/[0-9a-f]{{40}}/jobs/{re.escape(job)}/", "", word) for word in words]
    # one that reloads goes on as the process that it was
    if has != wanted and ".reloads." not in job:
        return [f"{job} runs as {has}, not {wanted}"]
    return []


def _secret(scene: Scene, root: Path) -> list[str]:
    wanted = (scene.home / "token").read_bytes()
    held = list((root / DATA.lstrip("/") / "credentials/current").glob("*/*"))
    problems = [] if [path.read_bytes() for path in held] == [wanted] else ["the secret is not the one there is now"]
    return problems + [f"{path} can be read by others" for path in held if path.stat().st_mode & 0o077]
