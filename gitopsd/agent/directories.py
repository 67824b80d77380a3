"""The directories that jobs write to: made when missing, never changed when they exist.

Root makes them below directories that a job's user may own, so every step is taken from the one before
(openat, no symbolic links): a link planted on the way leads to a refusal, not to somewhere else.
"""

from __future__ import annotations

import os
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from .errors import AgentError

if TYPE_CHECKING:
    from .accounts import Account
    from .layout import Layout

_SYSTEM = ("etc", "usr", "bin", "sbin", "boot", "dev", "proc", "sys", "run", "root")
_UNFINISHED = 0o1700
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_missing(path: str, account: Account | None, layout: Layout) -> None:
    """Make path and its missing parents: parents 0755 of this user, the last one 0755 of account (None: this user).

    AgentError `bad-payload` when the path may not be made by gitopsd or a part of it is not a directory.
    """
    problem = refusal(path, layout)
    if problem:
        raise AgentError("bad-payload", f"directory {path!r} {problem}")
    if _is_made(path):  # the hot path of every activation
        return
    names = PurePosixPath(path).parts[1:]
    descriptor = os.open("/", _OPEN)
    try:
        for depth, name in enumerate(names):
            last = depth == len(names) - 1
            below = _enter(descriptor, name, path, account if last else None)
            os.close(descriptor)
            descriptor = below
    finally:
        os.close(descriptor)


def refusal(path: str, layout: Layout) -> str | None:
    """Why gitopsd makes no directory there; None when it may."""
    if not path.startswith("/"):
        return "is relative: write it from / on"
    parts = path.split("/")[1:]
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return "has an empty part, `.`, `..` or a NUL: write it plainly"
    ours = parts[0] == "root" and layout.service_manager == "supervisor"  # jobs run as root themselves there
    if (parts[0] in _SYSTEM and not ours) or parts[0].startswith("lib"):
        return f"lies below /{parts[0]}, which belongs to the system"
    root = layout.root.parts[1:]
    if tuple(parts[: len(root)]) == root and parts[len(root) : len(root) + 1] != ["data"]:
        return f"lies in {layout.root}, where only {layout.root}/data is for jobs"
    return None


def _is_made(path: str) -> bool:
    try:
        found = os.stat(path)  # noqa: PTH116 -- a Path costs as much as the call
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and not _is_unfinished(found)


def _is_unfinished(found: os.stat_result) -> bool:
    return stat.S_IMODE(found.st_mode) == _UNFINISHED and found.st_uid == os.geteuid()


def _enter(parent: int, name: str, path: str, account: Account | None) -> int:
    """Open a directory below parent, made first if it is missing.

    One that is not finished yet has a mode that nobody else gives. So whoever finds it after a kill finishes it, and
    so does another worker that makes the same one on a shared file system right now; nothing is ever replaced.
    """
    try:
        os.mkdir(name, _UNFINISHED, dir_fd=parent)
    except FileExistsError:
        made = False
    else:
        made = True
    try:
        descriptor = os.open(name, _OPEN, dir_fd=parent)
    except OSError as error:
        raise _blocked(name, path, error) from None
    if made or _is_unfinished(os.fstat(descriptor)):
        try:
            _hand_over(descriptor, path, account)
        except BaseException:
            os.close(descriptor)
            raise
        os.fsync(parent)
    return descriptor


def _hand_over(descriptor: int, path: str, account: Account | None) -> None:
    found = os.fstat(descriptor)
    if not _is_unfinished(found):
        return  # another worker has just finished it, or somebody put another in its place: that is not ours to give
    if os.listdir(descriptor):
        if not _is_unfinished(os.fstat(descriptor)):
            return  # another worker finished it between the two looks, and it is in use already
        raise AgentError("bad-payload", f"directory {path!r} was replaced while it was made: look who writes there")
    if account is not None and account.uid != found.st_uid:
        os.fchown(descriptor, account.uid, account.gid)
    os.fchmod(descriptor, 0o755)  # last: from here on it is finished
    os.fsync(descriptor)


def _blocked(name: str, path: str, error: OSError) -> AgentError:
    return AgentError(
        "bad-payload",
        f"directory {path!r} can't be made: {name!r} on the way is a symbolic link or not a directory "
        f"({error.strerror}). Make the directory on the worker, or name the place that the link leads to",
    )
