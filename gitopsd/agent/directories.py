"""The directories that jobs write to: made when missing, never changed when they exist.

Root makes them below directories that a job's user may own, so every step is taken from the one before
(openat, no symbolic links): a link planted on the way leads to a refusal, not to somewhere else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from .errors import AgentError

if TYPE_CHECKING:
    from .accounts import Account
    from .layout import Layout

_SYSTEM = ("etc", "usr", "bin", "sbin", "boot", "dev", "proc", "sys", "run", "root")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_missing(path: str, account: Account | None, layout: Layout) -> None:
    """Make path and its missing parents: parents 0755 of this user, the last one 0755 of account (None: this user).

    AgentError `bad-payload` when the path may not be made by gitopsd or a part of it is not a directory.
    """
    problem = refusal(path, layout)
    if problem:
        raise AgentError("bad-payload", f"directory {path!r} {problem}")
    if os.path.isdir(path):  # noqa: PTH112 -- the hot path of every activation
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
    if parts[0] in _SYSTEM or parts[0].startswith("lib"):
        return f"lies below /{parts[0]}, which belongs to the system"
    root = layout.root.parts[1:]
    if tuple(parts[: len(root)]) == root and parts[len(root) : len(root) + 1] != ["data"]:
        return f"lies in {layout.root}, where only {layout.root}/data is for jobs"
    return None


def _enter(parent: int, name: str, path: str, account: Account | None) -> int:
    """Open a directory below parent, made first if it is missing."""
    try:
        return os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        _make(parent, name, path, account)
    except OSError as error:
        raise _blocked(name, path, error) from None
    try:
        return os.open(name, _OPEN, dir_fd=parent)
    except OSError as error:
        raise _blocked(name, path, error) from None


def _make(parent: int, name: str, path: str, account: Account | None) -> None:
    # aside, then renamed: one that is there has its owner and mode, even if we are killed
    aside = f".{name[:200]}.gitopsd-new"
    with suppress(FileNotFoundError):
        os.rmdir(aside, dir_fd=parent)
    os.mkdir(aside, 0o700, dir_fd=parent)
    descriptor = os.open(aside, _OPEN, dir_fd=parent)
    try:
        _hand_over(descriptor, path, account)
    finally:
        os.close(descriptor)
    os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)
    os.fsync(parent)


def _hand_over(descriptor: int, path: str, account: Account | None) -> None:
    found = os.fstat(descriptor)
    # whoever may write the parent may have swapped ours for another: give away nothing that isn't ours and empty
    if found.st_uid != os.geteuid() or os.listdir(descriptor):
        raise AgentError("bad-payload", f"directory {path!r} was replaced while it was made: look who writes there")
    os.fchmod(descriptor, 0o755)
    if account is not None and account.uid != found.st_uid:
        os.fchown(descriptor, account.uid, account.gid)
    os.fsync(descriptor)


def _blocked(name: str, path: str, error: OSError) -> AgentError:
    return AgentError(
        "bad-payload",
        f"directory {path!r} can't be made: {name!r} on the way is a symbolic link or not a directory "
        f"({error.strerror}). Make the directory on the worker, or name the place that the link leads to",
    )
