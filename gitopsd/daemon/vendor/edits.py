"""How two states of a library differ."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.vendor.source import LibrarySource
from gitopsd.model.source import Files
from gitopsd.model.trees import EXECUTABLE
from gitopsd.model.vendor import VendoredLibrary
from gitopsd.repo.artifacts import list_files
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Paths below a library's folder."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def lines(self) -> tuple[str, ...]:
        parts = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        return tuple(f"{word}: {path}" for word, paths in parts for path in paths)


def differences(before: Files | None, after: Files) -> Differences:
    """What leads from one state of a library to another."""
    return _compare(_ids(before or {}), _ids(after))


def _ids(files: Files) -> dict[str, tuple[str, bool]]:
    return {path: (one.blob, one.executable) for path, one in files.items()}


def _compare(old: Mapping[str, tuple[str, bool]], new: Mapping[str, tuple[str, bool]]) -> Differences:
    return Differences(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(path for path in new.keys() & old.keys() if new[path] != old[path])),
        removed=tuple(sorted(old.keys() - new.keys())),
    )


def local_edits(
    repository: Repository, name: str, locked: VendoredLibrary, files: Files, source: LibrarySource | None
) -> Differences | None:
    """How a library differs from what is locked; None where neither this repository nor the other has that any more.

    `source` is the library's own repository, where it may be asked.
    """
    if repository.has(locked.tree):
        entries = list_files(repository, locked.tree)
        known = {path: (entry.id, entry.mode == EXECUTABLE) for path, entry in entries.items()}
    else:
        try:
            library = source.library(name, locked.commit, locked.paths) if source else None
        except (ControllerError, DiagnosticsError, RepositoryError):
            library = None
        if library is None:
            return None
        known = _ids(library.files)
    return _compare(known, _ids(files))
