"""Whether what lies below `modules/vendor/` is what the lock says, and whether there is something newer."""

from typing import Literal

from msgspec import Struct

from gitopsd.compiler.checks.vendored import tree_id, vendored_libraries
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.vendor.edits import local_edits
from gitopsd.daemon.vendor.source import LibrarySource, open_library
from gitopsd.daemon.vendor.vendoring import read_present
from gitopsd.model.source import Files
from gitopsd.model.vendor import LOCK_FILE, VENDOR_FOLDER, VendoredLibrary
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository
from gitopsd.repo.vendored import work_tree_of


class LibraryState(Struct, frozen=True, kw_only=True):
    """One library. `differs` says how, as far as that is known; of one that isn't locked only the name is.

    `upstream` is the commit that the ref is at now, empty where nobody asked or `unknown` says why it isn't known.
    """

    library: str
    state: Literal["clean", "modified", "missing", "not-locked"]
    url: str = ""
    ref: str = ""
    commit: str = ""
    differs: tuple[str, ...] = ()
    upstream: str = ""
    unknown: str = ""


class VendorState(Struct, frozen=True, kw_only=True):
    """`extra`: files beside the libraries, which nothing reads."""

    clean: bool
    libraries: tuple[LibraryState, ...]
    extra: tuple[str, ...]


def check_libraries(repository: Repository, *, upstream: bool = False) -> VendorState:
    """Writes nothing to the work tree; reaches the libraries' repositories only where `upstream` is asked for.

    A lock may come from anybody, and names what would be reached with the caller's credentials.
    Raises DiagnosticsError for a lock that can't be read, ControllerError for links and the like.
    """
    lock, files = read_present(repository)
    found = vendored_libraries(files)
    sources: dict[str, LibrarySource | str] = {}
    if upstream:
        for locked in lock.libraries.values():
            if locked.url not in sources:
                sources[locked.url] = _open(repository, locked.url)
    states = [
        _state(repository, name, locked, found.get(name), sources.get(locked.url))
        for name, locked in lock.libraries.items()
    ]
    states += [LibraryState(library=name, state="not-locked") for name in found if name not in lock.libraries]
    known = {f"{VENDOR_FOLDER}{name}/{path}" for name, library in found.items() for path in library} | {LOCK_FILE}
    extra = tuple(sorted(files.keys() - known))
    return VendorState(
        clean=not extra and all(state.state == "clean" for state in states),
        libraries=tuple(sorted(states, key=lambda state: state.library)),
        extra=extra,
    )


def _open(repository: Repository, url: str) -> LibrarySource | str:
    root = work_tree_of(repository)
    try:
        return open_library(url, root, root)
    except (RepositoryError, ControllerError) as error:
        return error.message


def _state(
    repository: Repository,
    name: str,
    locked: VendoredLibrary,
    files: Files | None,
    source: LibrarySource | str | None,
) -> LibraryState:
    upstream, unknown = "", source if isinstance(source, str) else ""
    reached = source if isinstance(source, LibrarySource) else None
    if reached is not None:
        try:
            upstream = reached.resolve(locked.ref)
        except RepositoryError as error:
            unknown = error.message
    state: Literal["clean", "modified", "missing"] = "missing"
    differs: tuple[str, ...] = ()
    if files is not None:
        state = "clean" if tree_id(files) == locked.tree else "modified"
        edits = local_edits(repository, name, locked, files, reached) if state == "modified" else None
        differs = edits.lines if edits else ()
    return LibraryState(
        library=name,
        state=state,
        url=locked.url,
        ref=locked.ref,
        commit=locked.commit,
        differs=differs,
        upstream=upstream,
        unknown=unknown,
    )
