"""The mounts that make up a machine's disk."""

from pathlib import Path

from tests.fleet.commands import execute


def mount_tmpfs(target: Path, *, size: str) -> None:
    """`size` as mount(8) takes it: "64m", "50%"."""
    target.mkdir(parents=True, exist_ok=True)
    execute(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "gitopsd-fleet", str(target)])


def mount_overlay(target: Path, *, lower: Path, upper: Path, work: Path) -> None:
    for folder in (target, upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    execute(["mount", "-t", "overlay", "-o", options, "gitopsd-fleet", str(target)])


def mount_bind(target: Path, *, source: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    execute(["mount", "--bind", str(source), str(target)])


def mounts_below(folder: Path) -> list[Path]:
    """What is mounted at or below `folder`, deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if target == folder or folder in target.parents:
            found.append(target)
    return found[::-1]


def unmount_below(folder: Path) -> None:
    for target in mounts_below(folder.resolve()):
        # Lazy, since a process that still dies may hold it for a moment longer; nothing can enter it any more.
        execute(["umount", "--lazy", str(target)])
