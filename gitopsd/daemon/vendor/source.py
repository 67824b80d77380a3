"""Another repository as a place to copy modules from: read from Git objects, never checked out."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gitopsd.compiler.closure import closure
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.source import Files
from gitopsd.model.vendor import LOCK_FILE
from gitopsd.repo.cache import open_cached_clone
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError, UnknownRevisionError
from gitopsd.repo.gitcommand import without_credentials
from gitopsd.repo.location import looks_like_url, parse_url
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.revision import resolve_commit

_WHOLE_TREE = frozenset({"source-too-large", "too-many-files"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Files by their path in the library, and the names of the modules that were asked for."""

    files: Files
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LibrarySource:
    """`stored` is for the lock, `shown` for messages; neither has credentials. `name` is the repository's own."""

    repository: Repository
    stored: str
    shown: str

    @property
    def name(self) -> str:
        return self.shown.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")

    def resolve(self, ref: str) -> str:
        """The commit of a tag, branch or commit. Raises RepositoryError."""
        try:
            return resolve_commit(self.repository, ref)
        except UnknownRevisionError as error:
            raise UnknownRevisionError(f"{self.shown}: {error.message}", error.hint) from None

    def library(self, name: str, commit: str, paths: tuple[str, ...]) -> Library:
        """The module files at `paths` with all that they use, as they are at the commit.

        Raises DiagnosticsError for what is wrong with these; the rest of that repository may be as it likes.
        ControllerError for paths that nobody could have asked for: what is wrong is shown with an excerpt, and a lock
        may come from anybody.
        """
        if not paths:
            raise ControllerError(
                f"the lock of the library `{name}` names no module",
                f"give it `paths` in {LOCK_FILE}, or remove it there",
            )
        for path in paths:
            refuse_other_than_modules(path)
        source = read_commit(self.repository, commit)
        label = f"{name}@{commit[:12]}:"
        refused = {
            problem.path: Diagnostic(
                code=problem.code,
                message=problem.message,
                location=Location(path=label + problem.path),
                hint=problem.hint,
            )
            for problem in source.problems
        }
        unread = [refused[problem.path] for problem in source.problems if problem.code in _WHOLE_TREE]
        if unread:
            raise DiagnosticsError(unread, {})
        found = closure(source.files, paths, refused, label)
        if found.diagnostics:
            named = {place.path for one in found.diagnostics for place in (one.location, *_related(one))}
            sources = {label + path: file.data for path, file in source.files.items() if label + path in named}
            raise DiagnosticsError(found.diagnostics, sources)
        return Library(files={path: source.files[path] for path in found.paths}, modules=found.modules)


def refuse_other_than_modules(path: str) -> None:
    """Raises ControllerError for what is neither a module file nor the folder of all of them."""
    if path != "modules" and not re.fullmatch(r"modules/[^/]+\.yaml", path):
        raise ControllerError(
            f"{path!r} is neither a module file nor the folder of all modules",
            "write `modules/NAME.yaml`, or `modules` for all of them",
        )


def open_library(location: str, base: Path, work_tree: Path) -> LibrarySource:
    """The repository at a URL, fetched, or at a path, which starts at `base`. Raises RepositoryError.

    URLs are fit for what `--repo` takes: no protocol that runs commands, no password that would be stored.
    """
    if location.startswith("-") or not location.isprintable() or not location:
        raise RepositoryError(f"{location!r} is neither a URL nor a path", "name a Git repository")
    if looks_like_url(location):
        url = parse_url(location)
        if url.canonical.startswith("file://"):
            _refuse_inside(Path(unquote(urlsplit(location).path)), location, work_tree)
        return LibrarySource(repository=open_cached_clone(url), stored=url.public, shown=url.canonical)
    path = Path(location).expanduser()
    if (base / path).resolve() != work_tree.resolve():
        _refuse_inside(base / path, location, work_tree)
    repository = open_at(base / path)
    if repository.work_tree is not None and repository.work_tree.resolve() == work_tree.resolve():
        raise ControllerError(
            f"{location} is this repository", "a workflow uses a module of its own repository as `modules/NAME`"
        )
    stored = str(path)
    if not path.is_absolute():  # wherever the command was run, the lock is read from the root of the repository
        stored = os.path.relpath(base.resolve() / path, work_tree.resolve())
    return LibrarySource(repository=repository, stored=stored, shown=without_credentials(str((base / path).resolve())))


def _refuse_inside(path: Path, location: str, work_tree: Path) -> None:
    """What lies in the work tree may come with a pull request, Git's own files of a repository included."""
    as_written = Path(os.path.normpath(path.absolute()))  # a link in the work tree that leads out of it counts too
    for place, root in ((path.resolve(), work_tree.resolve()), (as_written, work_tree.absolute())):
        if place.is_relative_to(root):
            raise ControllerError(
                f"{without_credentials(location)} lies inside this work tree",
                "a library comes from another repository; what is your own goes to modules/",
            )


def _related(diagnostic: Diagnostic) -> list[Location]:
    return [related.location for related in diagnostic.related]
