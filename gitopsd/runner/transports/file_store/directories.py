from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.errors import failed

if TYPE_CHECKING:
    from pathlib import Path


def make_directory(channel: Path, *, below: Path) -> None:
    """Make `below`, a directory inside `channel`. Raises JobError.

    Of `channel` itself only the last part is made: where more is missing, a mount is probably missing.
    """
    try:
        channel.mkdir(exist_ok=True)
        below.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failed("make the directory", error.filename or channel, error) from error
