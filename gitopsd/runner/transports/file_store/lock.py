"""The lock of a producer of a `file-store` channel: whoever writes as that producer holds it."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from gitopsd.runner.errors import failed

if TYPE_CHECKING:
    from pathlib import Path

LOCK = ".lock"


def try_lock(fd: int, path: Path) -> bool:
    """Whether the lock is ours now. Raises JobError."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise failed("lock", path, error) from error
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody holds it, which is asked by holding it for a moment. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
