"""Space set aside on the file systems that a rollback writes to, so that it works where a deployment filled them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import unitfiles
from .durable import remove

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

_LEAST_BYTES = 256 * 1024
_UNIT_BYTES = 8 * 1024  # a unit's file and its link, in blocks
_NAME = ".gitopsd-reserve"


def make(layout: Layout, units: int) -> None:
    """Set it aside where that hasn't been done; OSError, of which nothing has been touched yet, on a full disk."""
    size = _LEAST_BYTES + units * _UNIT_BYTES
    for path in _paths(layout):
        if not path.exists() or path.stat().st_size < size:
            _allocate(path, size)


def give_back(layout: Layout) -> None:
    for path in _paths(layout):
        remove(path)


def _paths(layout: Layout) -> list[Path]:
    inside = layout.root / _NAME
    if unitfiles.DIRECTORY.stat().st_dev == layout.root.stat().st_dev:
        return [inside]
    return [inside, unitfiles.DIRECTORY / _NAME]


def _allocate(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        remove(path)
        raise
    finally:
        os.close(descriptor)
