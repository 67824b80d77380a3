"""An activation as the kernel saw it: what a power loss could take is never what something else already relies on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crash.durability import CURRENT, RELEASES, ROOT, TRACED, UNITS, Effect, parse, violations
from tests.crash.scene import DATA, DISKS, Scene, disks, scene
from tests.crash.steps import AGENT, step_of
from tests.crash.trial import enumerate_points
from tests.fleet.commands import execute
from tests.fleet.deadline import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.fixtures import StartFleet


@pytest.fixture(scope="module")
def one(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if shutil.which("strace") is None:
        pytest.skip("needs the package strace (apt-get install strace)")
    folder = tmp_path_factory.mktemp("scene")
    (machine,) = fleet(1, shared=disks(folder), data_size=DISKS[DATA]).values()
    with scene(machine, folder) as opened:
        yield opened
    execute(["umount", "--lazy", str(folder / "system")])


def traced_apply(scene: Scene, point: str, output: Path) -> list[Effect]:
    """What the agent does from a point on, when a new version is applied."""
    scene.advance()
    folder = scene.worker_points()
    scene.plan(folder, point, "hold")
    apply = scene.start_apply()
    wait_until((folder / "reached").exists, timeout=30.0, what="the agent")
    pid = _seen_from_here(scene, int((folder / "reached").read_text()))
    command = ["strace", "-f", "-y", "-s", "4096", "-e", f"trace={TRACED}", "-o", str(output), "-p", str(pid)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    assert "attached" in strace.stderr.readline()
    (folder / "go").touch()
    apply.stop(60.0)
    strace.terminate()
    strace.communicate(timeout=30.0)
    assert apply.code == 0, apply.said()
    scene.forget_plan()
    return list(parse(output.read_text().splitlines()))


def _seen_from_here(scene: Scene, pid: int) -> int:
    """The number that a process of the machine has outside of it."""
    leader = scene.machine.container.leader()
    space = Path(f"/proc/{leader}/ns/pid").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "status").read_text().partition("NSpid:")[2].split("\n")[0].split()[-1]
            if inside == str(pid) and (process / "ns/pid").readlink() == space:
                return int(process.name)
        except OSError:
            continue  # it has ended
    raise AssertionError(f"no process {pid} in {scene.machine.name}")


def test_everything_is_on_disk_before_something_else_relies_on_it(one: Scene, tmp_path: Path) -> None:
    points = enumerate_points(one)[AGENT]
    locked = next(point for point in points if step_of(AGENT, point) == "lock")
    effects = traced_apply(one, locked, tmp_path / "trace")
    release = RELEASES / one.head()
    # the trace has what it is about: without these the checker would have nothing to find
    assert [effect.path for effect in effects if effect.kind == "rename"].count(CURRENT) == 1
    assert [effect.path for effect in effects if effect.kind == "rename"].count(release) == 1
    assert any("Reload" in effect.words for effect in effects)
    assert any("RestartUnit" in effect.words for effect in effects)
    linked = [effect.path for effect in effects if effect.kind == "name"]
    assert any("runtime" in path.parts for path in linked), "not all is written anew"
    assert any(effect.path.parent == UNITS and effect.kind == "rename" for effect in effects)
    assert violations(effects, marker=ROOT / "switch.json") == []
