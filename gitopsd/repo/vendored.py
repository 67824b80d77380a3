"""Libraries below `modules/vendor/` of a work tree, swapped in whole.

What is new is written beside the source folders, in `.gitopsd-vendor/`, then takes the place of the old folder by
rename, and then the lock does. A process that dies on the way leaves a note there of what it was about; the next one
undoes that, or finds that it was done.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pygit2
from msgspec import Struct

from gitopsd.model.names import Name
from gitopsd.model.trees import TreeFile, build_tree
from gitopsd.model.vendor import LOCK_FILE, library_folder
from gitopsd.repo.durable import fsync_folder
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.private_folder import check_private_folder
from gitopsd.repo.repository import Repository

_ASIDE = ".gitopsd-vendor"
_HIDES = ".gitignore"


class _Intent(Struct, frozen=True, kw_only=True):
    """A library is to become this tree, and the lock to have these bytes; `replaces`: its folder was there before."""

    library: Name
    tree: str
    lock: str
    replaces: bool


def swap_in(repository: Repository, library: str, files: Mapping[str, TreeFile], lock: bytes) -> None:
    """Make the library's folder hold exactly `files` (path below it -> content), and the lock these bytes.

    Whatever the folder held is gone then. Killed in the middle, this leaves the library and the lock as they were, or
    `recover` brings them back. One process at a time. Raises RepositoryError where the folder leads elsewhere.
    """
    root = work_tree_of(repository)
    target = _plain_folder(root, library_folder(library))
    aside = _fresh(root)
    tree = build_tree({path: (file.data, file.executable) for path, file in files.items()}).id
    _write(aside / "new", files)
    _write(aside, {"lock.json": TreeFile(lock)})
    intent = _Intent(library=library, tree=tree, lock=_lock_id(lock), replaces=target.exists())
    _write(aside, {"intent.aside": TreeFile(msgspec.json.encode(intent))})
    (aside / "intent.aside").replace(aside / "intent.json")
    fsync_folder(aside)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(aside / "old")
    (aside / "new").rename(target)
    fsync_folder(target.parent)
    (aside / "lock.json").replace(root / LOCK_FILE)
    fsync_folder(target.parent)
    _clear(aside)


def recover(repository: Repository) -> None:
    """Undo what a process that died left half done; nothing to do mostly.

    Raises RepositoryError where what lies there isn't ours: an author could have the next command move their files.
    """
    root = work_tree_of(repository)
    aside = root / _ASIDE
    _refuse_tracked(repository)
    if not os.path.lexists(aside):
        return
    check_private_folder(aside, way_out="run this as the user who began")
    try:
        intent = msgspec.json.decode((aside / "intent.json").read_bytes(), type=_Intent)
    except (OSError, msgspec.DecodeError):
        intent = None  # it died before it touched anything
    if intent is not None and _lock_on_disk(root) != intent.lock:
        _undo(intent, _plain_folder(root, library_folder(intent.library)), aside)
    _clear(aside)


def _refuse_tracked(repository: Repository) -> None:
    try:
        index = repository.git.index
        index.read(False)
        tracked = any(str(entry.path).partition("/")[0].lower() == _ASIDE for entry in index)
    except (OSError, ValueError, pygit2.GitError) as error:
        raise RepositoryError(
            f"the index of {repository.work_tree} cannot be read: {error}", "run `git status` there"
        ) from None
    if tracked:
        raise RepositoryError(
            f"{_ASIDE}/ is tracked in this repository, and is for what `gitopsd vendor` leaves half done",
            f"see what is in it, `git rm -r {_ASIDE}`, and commit",
        )


def _undo(intent: _Intent, target: Path, aside: Path) -> None:
    """Back to what was there; what a person wrote in its place since stays."""
    old = aside / "old"
    if intent.replaces and not old.exists():
        return
    if target.exists() and _tree_on_disk(target) == intent.tree:
        shutil.rmtree(aside / "undone", ignore_errors=True)
        target.rename(aside / "undone")
    if old.exists() and not target.exists():
        old.rename(target)
    if target.parent.exists():
        fsync_folder(target.parent)


def _clear(aside: Path) -> None:
    """The file that hides the folder from Git goes last."""
    for entry in aside.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != _HIDES:
            entry.unlink()
    (aside / _HIDES).unlink(missing_ok=True)
    aside.rmdir()


def work_tree_of(repository: Repository) -> Path:
    """Raises RepositoryError for a bare repository."""
    if repository.work_tree is None:
        raise RepositoryError(
            "there is no work tree to copy modules into", "run this in a clone of the repository, and commit the result"
        )
    return repository.work_tree


def _plain_folder(root: Path, below: str) -> Path:
    """The folder, which may not be there yet; nothing on the way to it is a link or a file."""
    folder = root
    for name in below.strip("/").split("/"):
        folder /= name
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise RepositoryError(f"{folder} is not a folder", "remove it, or put a folder in its place")
    return folder


def _fresh(root: Path) -> Path:
    aside = root / _ASIDE
    aside.mkdir(mode=0o700)  # `recover` came first: what is there now is another process's
    (aside / _HIDES).write_text("*\n")
    return aside


def _write(folder: Path, files: Mapping[str, TreeFile]) -> None:
    """New files, durable when this returns."""
    folders = {folder}
    folder.mkdir(exist_ok=True)
    for path, (data, executable) in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        folders.update(parent for parent in file.parents if parent.is_relative_to(folder))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(file, flags, 0o755 if executable else 0o644)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(descriptor)
    for one in folders:
        fsync_folder(one)


def _lock_on_disk(root: Path) -> str:
    try:
        return _lock_id((root / LOCK_FILE).read_bytes())
    except OSError:
        return ""


def _lock_id(lock: bytes) -> str:
    return build_tree({"lock.json": (lock, False)}).id


def _tree_on_disk(folder: Path) -> str:
    """The Git tree id of what lies there; empty for what no tree of ours is."""
    files: dict[str, tuple[bytes, bool]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            return ""
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return build_tree(files).id if files else ""
