"""The code that worked out what the memory holds, in a few characters."""

import os
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from stat import S_ISDIR

import msgspec

import gitopsd

_FOLDERS = ("compiler", "model", "planner")
_LIBRARIES = ("jinja2", "jmespath", "markupsafe", "msgspec", "ruamel")


def code_fingerprint(package: Path = Path(gitopsd.__file__).parent) -> str:
    """16 hex digits that change with gitopsd's version or files, the libraries that compiling uses, and Python's.

    Files are told apart by size and time, not read: this is part of every command's start.
    """
    parts = [gitopsd.__version__, msgspec.__version__, *map(str, sys.version_info[:2]), *_libraries()]
    for folder in _FOLDERS:
        _add_files(str(package / folder), parts)
    return sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _add_files(folder: str, parts: list[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name == "__pycache__":
                continue
            status = entry.stat()
            if S_ISDIR(status.st_mode):
                _add_files(entry.path, parts)
            else:
                parts.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")


def _libraries() -> list[str]:
    """Where the libraries are installed and the folders there that name their versions: importlib.metadata is slow."""
    homes = {str(Path(spec.origin).parents[1]) for name in _LIBRARIES if (spec := find_spec(name)) and spec.origin}
    found = []
    for home in sorted(homes):
        with os.scandir(home) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith("-info"))
        found += [f"{home}/{name}" for name in names if name.lower().startswith(_LIBRARIES)]
    return found
