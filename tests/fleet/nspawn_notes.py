"""What systemd-nspawn writes down about its containers, and can't take back when it is killed."""

import shutil
from collections.abc import Iterable
from pathlib import Path

NOTES = Path("/run/systemd/nspawn")


def forget(*, name_prefix: str, roots: Iterable[Path]) -> None:
    """Remove the notes about the containers of these names and roots: all off, their roots still mounted."""
    for root in roots:
        status = root.stat()
        (NOTES / "locks" / f"inode-{status.st_dev}:{status.st_ino}").unlink(missing_ok=True)
    for folder in (NOTES / "propagate").glob(f"{name_prefix}*"):
        shutil.rmtree(folder, ignore_errors=True)
