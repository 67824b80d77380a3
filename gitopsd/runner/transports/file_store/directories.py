from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gitopsd.runner.errors import failed

if TYPE_CHECKING:
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

ROOT = Path("/var/lib/gitopsd")
"""What releases call gitopsd's own directory, wherever a worker has it."""

MESSAGES = ROOT / "data" / "messages"
"""Of the messages that stay on their worker."""

LOCK = ".lock"
"""In a producer's directory: whoever writes as that producer holds it."""


def channel_directory(endpoint: Settings, context: Context) -> Path:
    """The channel's own; that of a message which stays on its worker is made if it is missing. Raises JobError."""
    path = Path(endpoint.text("path"))
    if not path.is_relative_to(MESSAGES):
        return path
    own = context.job.state.parent.parent / path.relative_to(ROOT)
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failed("make the directory", own, error) from error
    return own


def make_directory(channel: Path, *, below: Path) -> None:
    """Make `below`, a directory inside `channel`. Raises JobError.

    Of `channel` itself only the last part is made: where more is missing, a mount is probably missing.
    """
    try:
        channel.mkdir(exist_ok=True)
        below.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failed("make the directory", error.filename or channel, error) from error
