from __future__ import annotations

import errno
import getpass
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class JobError(Exception):
    """What makes a job fail, in one line for people: what was tried, on which path, and the way out."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def failed(doing: str, path: str | Path, error: OSError) -> JobError:
    """Turn an operating system's error into a JobError that names the path and what to do about it."""
    way_out = _WAYS_OUT.get(error.errno or 0, _CARRIES_ON).format(user=_user())
    return JobError(f"cannot {doing} {path}: {error.strerror or error}; {way_out}")


_CARRIES_ON = "nothing is lost, the job carries on from here when it is started again"
_WAYS_OUT = {
    errno.ENOENT: "create it, or correct the path in the workflow",
    errno.ENOTDIR: "a part of this path is a file; move that file away, or correct the path in the workflow",
    errno.EACCES: "give the user {user} access to it",
    errno.EPERM: "give the user {user} access to it",
    errno.EROFS: "list the path among the job's directories, or mount it writable",
    errno.ENOSPC: f"free some space; {_CARRIES_ON}",
    errno.EDQUOT: f"raise the quota; {_CARRIES_ON}",
    errno.EMFILE: "raise LimitNOFILE, or let the job open fewer files",
}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such entry in the user database (OSError since 3.13)
        return str(os.getuid())
