"""Putting hooks into a repository on this machine, and taking them out again. A person's own hook is never touched."""

import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.hooks.script import hook_command, hook_script, is_ours
from gitopsd.daemon.hooks.settings import HOOKS, Hook, HookSettings
from gitopsd.repo.durable import fsync_folder
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.location import looks_like_url, parse_url, path_identity
from gitopsd.repo.served import ServedRepository, open_served

_MODE = 0o755
_LARGEST_SCRIPT = 64 << 10

Done = Literal["installed", "replaced", "unchanged", "removed", "not there"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookChange:
    """What became of one script."""

    path: Path
    done: Done


def install_hooks(location: str, settings: HookSettings) -> tuple[HookChange, ...]:
    """Both hooks, each written aside and renamed; again is as good as once.

    Raises RepositoryError, and ControllerError where a hook of somebody else's is in the place of one of them: then
    neither was written.
    """
    folder = hooks_folder(open_place(location))
    scripts: dict[Hook, bytes] = {hook: hook_script(hook, settings).encode() for hook in HOOKS}
    present = {hook: _present(folder / hook) for hook in HOOKS}
    for hook, script in present.items():
        if script is not None and not is_ours(script):
            raise ControllerError(
                f"{folder / hook} is there already and isn't gitopsd's: nothing was changed",
                f"move it away; or leave it, and have it run this with its own stdin, and {_heed(hook)}: "
                + shlex.join(hook_command(hook, settings)),
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(_write(folder / hook, scripts[hook], present[hook]) for hook in HOOKS)
    except OSError as error:
        raise _not_written(folder, error) from None


def remove_hooks(location: str) -> tuple[HookChange, ...]:
    """Those that gitopsd wrote. Raises RepositoryError, ControllerError."""
    folder = hooks_folder(open_place(location))
    try:
        return tuple(_remove(folder / hook) for hook in HOOKS)
    except OSError as error:
        raise _not_written(folder, error) from None


def doubts(location: str, configuration: Configuration) -> Iterator[str]:
    """What may keep the hooks from working, each in a sentence."""
    place = open_place(location)
    owner = place.git_dir.stat().st_uid
    if owner != os.geteuid():
        closed = _closed_to_others(Path(sys.executable))
        yield f"the repository belongs to another user (uid {owner}); hooks run as whoever pushes, or as Git's account"
        if closed is not None:
            yield (
                f"other users can't get at {closed}, so the hooks can't run {sys.executable} for them: install gitopsd "
                "where everybody may run it, such as /opt, and install the hooks with that one"
            )
    governed = configuration.repository
    if governed and _identity(governed) != path_identity(place.git_dir):
        yield (
            f"the operator's configuration is about {governed}: a controller that deploys that isn't told of pushes "
            "to this repository"
        )


def open_place(location: str) -> ServedRepository:
    """The repository that people push to. Raises RepositoryError."""
    if looks_like_url(location):
        raise RepositoryError(
            f"{location} is a URL, and hooks are files on the machine that has the repository",
            "run this there, with the repository's path",
        )
    return open_served(Path(location).expanduser().absolute())


def hooks_folder(place: ServedRepository) -> Path:
    """Where Git looks for the repository's hooks. Raises ControllerError where that is a folder of all repositories."""
    if not place.hooks_path:
        return place.git_dir / "hooks"
    if place.is_shared:
        raise ControllerError(
            f"Git is configured to take the hooks of every repository from {place.hooks_path} (core.hooksPath)",
            f"give this one a folder of its own: git --git-dir={place.git_dir} config core.hooksPath hooks",
        )
    return place.git_dir / Path(place.hooks_path).expanduser()


def _identity(location: str) -> str:
    return parse_url(location).canonical if looks_like_url(location) else path_identity(Path(location).expanduser())


def _heed(hook: Hook) -> str:
    return "reject the push where the exit code is 65" if hook == "pre-receive" else "not mind its exit code"


def _present(path: Path) -> bytes | None:
    """What is there now, if anything is: what is no file of reasonable size is somebody else's."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_SCRIPT:
        return b""
    return path.read_bytes()


def _write(path: Path, script: bytes, present: bytes | None) -> HookChange:
    if present == script and path.stat().st_mode & 0o777 == _MODE:
        return HookChange(path=path, done="unchanged")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as aside:
        try:
            aside.write(script)
            os.fchmod(aside.fileno(), _MODE)
            aside.flush()
            os.fsync(aside.fileno())
            Path(aside.name).replace(path)
        except BaseException:
            Path(aside.name).unlink(missing_ok=True)
            raise
    fsync_folder(path.parent)
    return HookChange(path=path, done="installed" if present is None else "replaced")


def _remove(path: Path) -> HookChange:
    present = _present(path)
    if present is None or not is_ours(present):
        return HookChange(path=path, done="not there")
    path.unlink()
    fsync_folder(path.parent)
    return HookChange(path=path, done="removed")


def _closed_to_others(path: Path) -> Path | None:
    """The first folder on the way, or the file itself, that not everybody may enter or run; links are followed."""
    way = [*reversed(path.parents), *reversed(path.resolve().parents), path]
    return next((one for one in way if not one.stat().st_mode & 0o001), None)


def _not_written(folder: Path, error: OSError) -> ControllerError:
    return ControllerError(
        f"hooks can't be written to {folder}: {error.strerror}",
        "run this as the user that the repository belongs to, such as `sudo -u git gitopsd hook install …`",
    )
