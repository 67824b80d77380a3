"""Copying modules of other repositories into this one, and looking after the copies. Only this fetches for them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from gitopsd.compiler.checks.vendored import encode_lock, read_lock, tree_id, vendored_libraries
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.vendor.edits import Differences, differences, local_edits
from gitopsd.daemon.vendor.source import Library, LibrarySource, open_library, refuse_other_than_modules
from gitopsd.model.names import NAME_PATTERN, did_you_mean
from gitopsd.model.source import Files
from gitopsd.model.trees import TreeFile
from gitopsd.model.vendor import LOCK_FILE, VENDOR_FOLDER, VendoredLibrary, VendorLock, library_folder
from gitopsd.repo.lock import host_lock
from gitopsd.repo.repository import Repository
from gitopsd.repo.vendored import recover, swap_in, work_tree_of
from gitopsd.repo.worktree_source import read_work_tree

_SHOWN = 10
_HIDE_THE_REST = {".gitignore", ".gitattributes"}  # where one of them can't be used, its folder isn't read


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendored:
    """What became of one library. `before` is None where it is new; `differences` are against what lay there."""

    name: str
    source: str
    before: VendoredLibrary | None
    after: VendoredLibrary
    modules: tuple[str, ...]
    differences: Differences
    written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Present:
    """What the work tree has now."""

    lock: VendorLock
    libraries: Mapping[str, Files]


def add_library(
    repository: Repository, url: str, ref: str, path: str, *, name: str | None = None, force: bool = False
) -> Vendored:
    """Copy the module file at `path` (or all of `modules`) of another repository, with all that it uses.

    A library that is there already, from the same commit, is extended. Raises ControllerError, DiagnosticsError for
    mistakes in the modules, or RepositoryError.
    """
    wanted = _module_path(path)
    with _at_work(repository) as present:
        source = open_library(url, Path.cwd(), work_tree_of(repository))
        chosen = _library_name(name, source)
        commit = source.resolve(ref)
        locked = present.lock.libraries.get(chosen)
        if locked is not None:
            _refuse_another(chosen, locked, source, ref, commit)
        paths = tuple(sorted({*(locked.paths if locked else ()), wanted}))
        library = source.library(chosen, commit, paths)
        entry = VendoredLibrary(url=source.stored, ref=ref, commit=commit, paths=paths, tree=tree_id(library.files))
        return _put(repository, present, name=chosen, entry=entry, library=library, source=source, force=force)


def update_libraries(
    repository: Repository, names: Sequence[str], *, ref: str | None = None, force: bool = False
) -> Iterator[Vendored]:
    """Move the named libraries, or all, to the newest commit of their refs; one after the other.

    `ref` is for a single one and replaces what the lock has. Raises as `add_library` does.
    """
    with _at_work(repository) as present:
        chosen = _chosen(present.lock, names)
    if ref is not None and len(chosen) != 1:
        raise ControllerError("--ref is for one library", f"name it: {', '.join(chosen) or 'there is none yet'}")
    sources: dict[str, LibrarySource] = {}
    for name in chosen:
        with _at_work(repository) as present:
            locked = present.lock.libraries[name]
            root = work_tree_of(repository)
            if locked.url not in sources:  # fetched once a command
                sources[locked.url] = open_library(locked.url, root, root)
            source = sources[locked.url]
            wanted = ref or locked.ref
            commit = source.resolve(wanted)
            library = source.library(name, commit, locked.paths)
            entry = replace(locked, ref=wanted, commit=commit, tree=tree_id(library.files))
            yield _put(repository, present, name=name, entry=entry, library=library, source=source, force=force)


def read_present(repository: Repository) -> tuple[VendorLock, Files]:
    """The lock, and what the work tree has below `modules/vendor/`. Raises DiagnosticsError for a lock that is broken.

    Raises ControllerError for links and the like, which nobody looks behind.
    """
    work_tree_of(repository)
    source = read_work_tree(repository)
    for problem in source.problems:
        above = problem.path in {"modules", VENDOR_FOLDER.rstrip("/")}
        if above or problem.path.startswith(VENDOR_FOLDER) or problem.path.rpartition("/")[2] in _HIDE_THE_REST:
            raise ControllerError(f"{problem.path} {problem.message}", problem.hint)
    files = {path: file for path, file in source.files.items() if path.startswith(VENDOR_FOLDER)}
    content = files.get(LOCK_FILE)
    if content is None:
        return VendorLock(), files
    lock, mistakes = read_lock(content.data)
    if lock is None:
        raise DiagnosticsError(mistakes, {LOCK_FILE: content.data})
    return lock, files


@contextmanager
def _at_work(repository: Repository) -> Iterator[_Present]:
    """Alone in this work tree, with what an earlier process left half done cleared up."""
    root = work_tree_of(repository)
    with host_lock(root.resolve().as_uri(), "vendor"):
        recover(repository)
        lock, files = read_present(repository)
        yield _Present(lock=lock, libraries=vendored_libraries(files))


def _put(
    repository: Repository,
    present: _Present,
    *,
    name: str,
    entry: VendoredLibrary,
    library: Library,
    source: LibrarySource,
    force: bool,
) -> Vendored:
    before, here = present.lock.libraries.get(name), present.libraries.get(name)
    there = tree_id(here) if here else ""
    intact = before is not None and there in {"", before.tree}
    if here is not None and not force and not intact and there != entry.tree:
        _refuse_edits(repository, name, before, here, source)
    written = entry != before or there != entry.tree
    if written:
        lock = VendorLock(libraries={**present.lock.libraries, name: entry})
        files = {path: TreeFile(one.data, one.executable) for path, one in library.files.items()}
        swap_in(repository, name, files, encode_lock(lock))
        _check_written(repository, name, entry)
    return Vendored(
        name=name,
        source=source.shown,
        before=before,
        after=entry,
        modules=library.modules,
        differences=differences(here, library.files),
        written=written,
    )


def _refuse_edits(
    repository: Repository, name: str, locked: VendoredLibrary | None, here: Files, source: LibrarySource
) -> None:
    folder = library_folder(name)
    if locked is None:
        raise ControllerError(
            f"{folder} is there, and {LOCK_FILE} doesn't know it; nothing was changed",
            "choose another name with --name, or --force to overwrite it",
        )
    edits = local_edits(repository, name, locked, here, source)
    lines = edits.lines if edits else ()
    shown = [f"  {line}" for line in lines[:_SHOWN]] + ([f"  … {len(lines) - _SHOWN} more"] * (len(lines) > _SHOWN))
    raise ControllerError(
        "\n".join([f"{folder} was edited here; nothing was changed", *shown]),
        "move what you changed to modules/ to own it, or --force to overwrite it",
    )


def _refuse_another(name: str, locked: VendoredLibrary, source: LibrarySource, ref: str, commit: str) -> None:
    """A library is one commit of one repository."""
    if locked.url != source.stored:
        raise ControllerError(
            f"the library `{name}` is from {locked.url}; nothing was changed", "choose another name with --name"
        )
    if locked.commit != commit:
        raise ControllerError(
            f"the library `{name}` is at {locked.commit[:12]}, and {ref} is {commit[:12]}; nothing was changed",
            f"`gitopsd vendor update {name} --ref {ref}` moves it as a whole; or choose another name with --name",
        )


def _check_written(repository: Repository, name: str, entry: VendoredLibrary) -> None:
    """Git's own rules for this work tree may leave files out or change them on the way in."""
    _, files = read_present(repository)
    here = vendored_libraries(files).get(name)
    if here is not None and tree_id(here) == entry.tree:
        return
    raise ControllerError(
        f"{library_folder(name)} was written, and Git here wouldn't take it as it is",
        f"see that .gitignore leaves {VENDOR_FOLDER} alone, and write `{VENDOR_FOLDER}** -text` in .gitattributes",
    )


def _module_path(path: str) -> str:
    plain = path.removeprefix("./").rstrip("/")
    refuse_other_than_modules(plain)
    return plain


def _library_name(name: str | None, source: LibrarySource) -> str:
    if name is None:
        fit = re.sub(r"[^a-z0-9]+", "-", source.name.lower())[:63].strip("-")
        if not fit:
            raise ControllerError(f"no name for a library can be made of {source.shown}", "choose one with --name")
        return fit
    if re.match(NAME_PATTERN, name) is None:
        raise ControllerError(
            f"a library can't be named {name!r}", "use lower-case letters, digits and inner hyphens, at most 63"
        )
    return name


def _chosen(lock: VendorLock, names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in lock.libraries:
            raise ControllerError(
                f"there is no library `{name}` in {LOCK_FILE}",
                did_you_mean(name, lock.libraries) or "`gitopsd vendor add URL REF PATH` copies one",
            )
    return tuple(dict.fromkeys(names)) or tuple(sorted(lock.libraries))
