"""SQLite files that are this user's alone, and that may be lost at any time: a damaged one is set aside."""

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.repo.private_folder import make_private_folder

if TYPE_CHECKING:
    import sqlite3

_DAMAGED = {1, 11, 26}  # SQLITE_ERROR: tables of another shape; SQLITE_CORRUPT; SQLITE_NOTADB


def note(what: str, error: Exception) -> None:
    """For `--debug`."""
    import logging  # noqa: PLC0415 - 4 ms for what is seldom said

    logging.getLogger(__name__).debug("cache: %s: %s", what, error)


def make_private(path: Path, *, way_out: str) -> None:
    """Makes the folder and the file for this user alone.

    Raises RepositoryError or OSError where either is a link or somebody else's.
    """
    make_private_folder(path.parent, way_out=way_out)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        file = os.fstat(descriptor)
        if file.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", str(path))
        if not stat.S_ISREG(file.st_mode) or file.st_nlink != 1:
            raise OSError(errno.EINVAL, "is not a plain file", str(path))
        if file.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> None:
    """Out of the way, so that a new one can be made; kept beside it for whoever wants to see what happened."""
    try:
        path.replace(path.with_name(path.name + ".damaged"))
        for suffix in ("-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        note(f"{path} can't be set aside", error)


def is_damaged(error: "sqlite3.Error") -> bool:
    """Whether the file, rather than the moment, is at fault."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED
