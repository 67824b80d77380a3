"""Files that a person asked for with `--out`."""

import os
import tempfile
from pathlib import Path

from gitopsd.daemon.errors import ControllerError


def write_aside(path: Path, content: bytes) -> None:
    """Aside, then renamed: a reader finds what was there or the whole new file. Raises ControllerError."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a device or a pipe is written to, not replaced
            return
        path = path.resolve()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as aside:
            aside.write(content)
            os.fchmod(aside.fileno(), _mode_of(path))
        Path(aside.name).replace(path)
    except OSError as error:
        raise ControllerError(f"{path}: {error.strerror}", "name a file in a folder that can be written to") from None


def _mode_of(path: Path) -> int:
    """As the file has it; a new one as the user's umask has new files."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
