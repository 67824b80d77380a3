"""What two releases on a worker have in common, on its disk once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .githash import Entry
    from .manifest import Manifest

# what no person has a reason to edit: an edit in place shows in both releases, and their ids tell
_SHARED = ("runtime/", "libraries/")


def link_runtime(release: Path, staged: Path, manifest: Manifest) -> set[Entry]:
    """Link the files of the runtime and of libraries from a release into the one being staged, told by their paths
    alone: the caller hashes what was linked. Their content is on disk since they were written.

    Only where jobs are others than the agent, or they could write to what they have in common with the next release.
    """
    if os.geteuid() != 0:
        return set()
    return {entry for entry in manifest.entries if entry.path.startswith(_SHARED) and _link(release, staged, entry)}


def _link(release: Path, staged: Path, entry: Entry) -> bool:
    source = f"{release}/{entry.path}"
    try:
        status = os.lstat(source)
        if status.st_uid != 0 or format(status.st_mode, "o") != entry.mode:
            return False
        os.link(source, f"{staged}/{entry.path}", follow_symlinks=False)
    except OSError:
        return False  # it isn't there, or its disk has no links, or no more of them
    return True
