"""Locks on refs that a killed git, or a power cut, left behind: nobody else removes them, and no ref moves any more."""

import logging
import re
import stat
import time
from pathlib import Path

LEFT_AFTER = 600.0
"""Seconds. Git holds such a lock for milliseconds, or for as long as a server's reference-transaction hook takes."""

# what the other side says comes back as `remote: …`, and is none of this repository's
_EXISTS = re.compile(r"^(?!remote:).*Unable to create '([^'\n]+\.lock)': File exists", re.MULTILINE)


def remove_left_lock(git_dir: Path, said: str) -> bool:
    """Remove the lock that git gave up on, as it `said`, if it is on a ref of this repository and was left behind.

    Locks of the index and of files in a work tree are their user's. False where nothing was removed.
    """
    found = _EXISTS.search(said)
    if found is None:
        return False
    ours = git_dir.resolve()
    path = ours / found[1]  # absolute or not, as the directory was given
    try:
        path = path.parent.resolve(strict=True) / path.name
        if path != ours / "packed-refs.lock" and ours / "refs" not in path.parents:
            return False
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < LEFT_AFTER:
            return False
        path.unlink()
    except OSError:
        return False  # it is gone by itself, or not ours to remove: git says what keeps it
    logging.getLogger(__name__).warning("removed %s, which a git that was killed had left behind", path)
    return True
