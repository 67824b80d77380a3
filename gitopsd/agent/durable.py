"""Changes to files that are still there, whole or not at all, after kill -9 or a power loss."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Create or truncate path, not yet synced; never through a symbolic link, whatever the umask."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)


def sync(path: Path) -> None:
    """Have a file's or a directory's content on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write aside, fsync, rename; the caller syncs the directory, once for many files."""
    aside = path.with_name(f".{path.name}.new")
    write_file(aside, data, mode)
    sync(aside)
    aside.replace(path)


def replace_file_synced(path: Path, data: bytes, mode: int = 0o644) -> None:
    replace_file(path, data, mode)
    sync(path.parent)


def replace_link(link: Path, target: str) -> None:
    """Point link at target in one rename; the caller syncs the directory."""
    aside = link.with_name(f".{link.name}.new")
    with suppress(FileNotFoundError):
        aside.unlink()
    aside.symlink_to(target)
    aside.replace(link)


def make_directory(path: Path, mode: int) -> None:
    """Make one missing directory with exactly this mode; one that exists is left as it is."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole directory; what isn't there is fine."""
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):
            path.rmdir()  # an empty one
            return
        import shutil  # noqa: PLC0415 -- costs a third of the agent's start, and is hardly ever needed

        try:
            shutil.rmtree(path)
        except RecursionError:
            _remove_deep(path)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            _remove_deep(path)
        return
    with suppress(FileNotFoundError):
        path.unlink()


def _remove_deep(path: Path) -> None:
    """What a job nested deeper than shutil goes: it must not keep us from removing what is the job's."""
    import subprocess  # noqa: PLC0415 -- hardly ever needed

    command = ["rm", "-rf", "--", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(errno.EIO, "it can't be removed, neither by `rm -rf`", str(path))
