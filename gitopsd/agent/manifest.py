from __future__ import annotations

import re
from typing import Any, NamedTuple

from .errors import AgentError
from .githash import Entry, tree_id

MODES = {"100644": 0o644, "100755": 0o755}
_HEX40 = re.compile(r"[0-9a-f]{40}")
_LONGEST_NAME = 255  # NAME_MAX of every file system we meet, in bytes


class Manifest(NamedTuple):
    """All files of one release; its id is the Git tree id of exactly these entries."""

    release: str
    entries: tuple[Entry, ...]


def is_object_id(value: Any) -> bool:
    return isinstance(value, str) and _HEX40.fullmatch(value) is not None


def parse_manifest(release: Any, value: Any) -> Manifest:
    """Check every path and mode, and that they make up the release's id; AgentError `bad-payload` otherwise."""
    if not is_object_id(release):
        raise AgentError("bad-payload", "the release id is not a Git tree id (40 hex digits)")
    if not isinstance(value, list):
        raise AgentError("bad-payload", "the manifest is not a list")
    entries = tuple(_parse_entry(item) for item in value)
    _refuse_conflicts(entries)
    actual = tree_id(entries)
    if actual != release:
        raise AgentError("bad-payload", f"the manifest makes up tree {actual}, not release {release}")
    return Manifest(release, entries)


def _parse_entry(item: Any) -> Entry:
    if not isinstance(item, list) or len(item) != 3 or not all(isinstance(part, str) for part in item):
        raise AgentError("bad-payload", "a manifest entry is not [path, mode, blob id]")
    path, mode, blob = item
    problem = path_problem(path)
    if problem:
        raise AgentError("bad-payload", f"path {path!r} in the manifest {problem}")
    if mode not in MODES:
        raise AgentError("bad-payload", f"{path}: mode {mode!r} is not one of {', '.join(MODES)}")
    if not is_object_id(blob):
        raise AgentError("bad-payload", f"{path}: {blob!r} is not a blob id")
    return Entry(path, mode, blob)


def path_problem(path: str) -> str | None:
    """What keeps a path from being one in a release, or None."""
    if path.startswith("/"):
        return "is absolute"
    if "\0" in path:
        return "contains a NUL"
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return f"has {name!r} as a component"
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            return "is not UTF-8"
        if size > _LONGEST_NAME:
            return "has a component longer than 255 bytes"
    return None


def _refuse_conflicts(entries: tuple[Entry, ...]) -> None:
    files: set[str] = set()
    for entry in entries:
        if entry.path in files:
            raise AgentError("bad-payload", f"{entry.path} is listed twice in the manifest")
        files.add(entry.path)
    for path in files:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in files:
                raise AgentError("bad-payload", f"{parent} is both a file and a directory in the manifest")
            parent = parent.rpartition("/")[0]
