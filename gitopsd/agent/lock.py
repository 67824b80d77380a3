from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .deadline import Deadline
    from .layout import Layout

_POLL_SECONDS = 0.02


@contextmanager
def exclusive(layout: Layout, deadline: Deadline) -> Iterator[None]:
    """Hold the worker's lock; the kernel lets go of it when this process ends, however it ends.

    Raises AgentError `busy` when another agent still holds it at the deadline.
    """
    descriptor = _acquire(layout, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(layout: Layout) -> bool:
    """Whether some other agent changes this worker right now."""
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _acquire(layout: Layout, deadline: Deadline) -> int:
    while True:
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)  # whoever may open it for reading may lock it: a job could, and for ever
        if _try(descriptor, fcntl.LOCK_EX) and _still_there(layout, descriptor):
            return descriptor
        os.close(descriptor)
        if deadline.passed:
            raise AgentError(
                "busy", "another activation is under way on this worker and did not end in time: wait for it, or retry"
            )
        time.sleep(_POLL_SECONDS)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(layout: Layout, descriptor: int) -> bool:
    """False when a teardown removed the lock's file between our opening and our locking it."""
    try:
        found = layout.lock.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
