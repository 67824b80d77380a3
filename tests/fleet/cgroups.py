"""A control group for each machine: under a shared one, units of the same name on two machines would interfere."""

import contextlib
from pathlib import Path

from tests.fleet.deadline import wait_until

ROOT = Path("/sys/fs/cgroup")
# Below a group that it may keep, nspawn makes this one for the machine and another for itself.
PAYLOAD = "payload"


def hierarchies() -> list[Path]:
    """Where systemd keeps its groups: one tree, or on a hybrid layout two that must agree."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in (ROOT / "systemd", ROOT / "unified") if path.is_dir()]


def create(name: str) -> list[Path]:
    """The files to write a pid to in order to move it into the group."""
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
    return [hierarchy / name / "cgroup.procs" for hierarchy in hierarchies()]


def groups_with_prefix(prefix: str) -> set[str]:
    return {path.name for hierarchy in hierarchies() for path in hierarchy.glob(f"{prefix}*")}


def processes(name: str) -> set[int]:
    found: set[int] = set()
    for hierarchy in hierarchies():
        for file in (hierarchy / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # groups come and go while the machine runs
                found.update(int(pid) for pid in file.read_text().split() if pid != "0")
    return found


def kill(name: str, *, timeout: float = 60.0) -> None:
    """Kill all that is in the group and return once it's empty."""

    def emptied() -> bool:
        for hierarchy in hierarchies():
            with contextlib.suppress(OSError):
                (hierarchy / name / "cgroup.kill").write_text("1")
        return not processes(name)

    wait_until(emptied, timeout=timeout, what=f"processes of cgroup {name} to die")


def freeze(name: str, *, frozen: bool) -> None:
    """Stop every process of the machine between two instructions, or let all go on."""
    group = hierarchies()[-1] / name / PAYLOAD
    (group / "cgroup.freeze").write_text("1" if frozen else "0")
    wait_until(
        lambda: f"frozen {int(frozen)}" in (group / "cgroup.events").read_text(),
        timeout=60.0,
        what=f"cgroup {name} to {'freeze' if frozen else 'thaw'}",
    )


def remove(name: str) -> None:
    for hierarchy in hierarchies():
        group = hierarchy / name
        if not group.is_dir():
            continue
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            _remove_one(folder)
        _remove_one(group)


def _remove_one(group: Path) -> None:
    def gone() -> bool:
        try:
            group.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # busy for a moment after its last process
            return False
        return True

    wait_until(gone, timeout=60.0, what=f"removing {group}")
