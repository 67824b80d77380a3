"""Locks on files: what only one process may do at a time, whichever of two releases started it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from typing import TYPE_CHECKING, Callable

from gitopsd.runner.errors import failed
from gitopsd.runner.polling import Backoff

if TYPE_CHECKING:
    from pathlib import Path


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


async def hold(path: Path, waiting: Callable[[], object]) -> int:
    """The descriptor of the file, made where there is none, once the lock is ours. Raises JobError.

    `waiting` is called before each wait for whoever has it, which lasts as long as that process does.
    """
    backoff = Backoff()
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise failed("open", path, error) from error
    while not try_lock(fd, path):
        waiting()
        await asyncio.sleep(backoff.next())
    return fd
