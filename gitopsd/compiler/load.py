"""Pass 1: sorts the files of a source tree by what they declare."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.names import NAME_PATTERN, did_you_mean
from gitopsd.model.source import Content, Files
from gitopsd.model.vendor import VENDOR_FOLDER

ENVIRONMENTS_FILE = "gitopsd.yaml"
OWN = ""
"""The library that is the repository itself."""

_FOLDERS = ("workflows", "modules", "blueprints", "fleets")
_LIBRARY_FOLDERS = ("modules", "blueprints")


@dataclass(slots=True, kw_only=True)
class LibraryFiles:
    """What `use:` can name: those of the repository itself, or of one that was copied below `modules/vendor/`."""

    modules: dict[str, Content] = field(default_factory=dict)
    blueprints: dict[str, Content] = field(default_factory=dict)
    shipped: dict[str, Content] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Loaded:
    """Files by path. Declarations are YAML; shipped files are whatever people put under `files/`.

    `libraries` are by their folder, such as `modules/vendor/acme/`; shipped files by their path below it.
    """

    environments: Content
    files: Files
    workflows: dict[str, Content] = field(default_factory=dict)
    fleets: dict[str, Content] = field(default_factory=dict)
    libraries: dict[str, LibraryFiles] = field(default_factory=lambda: {OWN: LibraryFiles()})


def load(files: Files) -> tuple[Loaded | None, list[Diagnostic]]:
    """`files` are those of one commit or work tree by path from its root."""
    environments = files.get(ENVIRONMENTS_FILE)
    if environments is None:
        return None, [_no_environments_file(files)]
    loaded = Loaded(environments=environments, files=files)
    diagnostics: list[Diagnostic] = []
    for path in sorted(files):
        library, inner = _library_of(path)
        folder, _, rest = inner.partition("/")
        if library is None:
            diagnostics.append(_not_in_a_library(path))
        elif folder == "files" and rest:
            _library(loaded, library).shipped[inner] = files[path]
        elif folder not in (_LIBRARY_FOLDERS if library else _FOLDERS) or not rest:
            if library:
                diagnostics.append(_not_in_a_library(path))
        elif inner == f"{VENDOR_FOLDER}lock.json" or rest.startswith("."):
            continue  # the lock is looked at by itself; .gitkeep, .orders.yaml.swp
        elif "/" in rest or not rest.endswith(".yaml"):
            diagnostics.append(_not_a_declaration(path, folder))
        elif folder == "modules":
            _library(loaded, library).modules[path] = files[path]
        elif folder == "blueprints":
            _library(loaded, library).blueprints[path] = files[path]
        else:
            (loaded.workflows if folder == "workflows" else loaded.fleets)[path] = files[path]
    return loaded, diagnostics


def _library(loaded: Loaded, folder: str) -> LibraryFiles:
    return loaded.libraries.setdefault(folder, LibraryFiles())


def _library_of(path: str) -> tuple[str | None, str]:
    """The library's folder and the path below it; None for a file that lies beside the libraries."""
    library, inner = OWN, path
    while inner.startswith(VENDOR_FOLDER) and inner != f"{VENDOR_FOLDER}lock.json":
        name, slash, rest = inner.removeprefix(VENDOR_FOLDER).partition("/")
        if not slash or not re.match(NAME_PATTERN, name):
            return None, path
        library, inner = f"{library}{VENDOR_FOLDER}{name}/", rest
    return library, inner


def _no_environments_file(files: Iterable[str]) -> Diagnostic:
    near = [path for path in files if path in {"gitopsd.yml", "gitops.yaml", ".gitopsd.yaml"}]
    hint = f"rename {near[0]} to {ENVIRONMENTS_FILE}" if near else "`gitopsd init DIR` makes a repository with one"
    return Diagnostic(
        code="no-environments",
        message=f"there is no {ENVIRONMENTS_FILE} at the root of the repository",
        location=Location(path=ENVIRONMENTS_FILE),
        hint=hint,
    )


def _not_in_a_library(path: str) -> Diagnostic:
    return Diagnostic(
        code="misplaced-file",
        message=f"{VENDOR_FOLDER} holds libraries with modules/, blueprints/ and files/, and this is in none of these",
        location=Location(path=path),
        hint="remove it; `gitopsd vendor add URL REF PATH` copies a module of another repository",
    )


def _not_a_declaration(path: str, folder: str) -> Diagnostic:
    name = path.rsplit("/", 1)[-1]
    if name.endswith(".yml"):
        hint = f"rename it to {folder}/{name.removesuffix('.yml')}.yaml"
    elif path.count("/") > 1:
        hint = f"move it to {folder}/{name}"
    else:
        hint = f"{folder}/ holds declarations only; files that jobs ship go to files/"
    return Diagnostic(
        code="misplaced-file",
        message=f"{folder}/ holds .yaml files directly, and this is not one",
        location=Location(path=path),
        hint=hint,
    )


def missing_path(what: str, path: str, location: Location, known: Iterable[str]) -> Diagnostic:
    """A declaration that names a file which the commit doesn't have."""
    return Diagnostic(
        code="missing-path",
        message=f"{what} `{path[:200]}` is not in the repository",
        location=location,
        hint=did_you_mean(path, known) or f"add `{path}`, and `git add` it",
    )
