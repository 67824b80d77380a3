"""Making names durable: an fsync of a file does not cover its entry in its folder."""

import os
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make creations and renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
