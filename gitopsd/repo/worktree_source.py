"""Reading the source tree from the work tree as it is, uncommitted edits included.

A file that is as Git's index last saw it is taken from the repository's objects, and so isn't opened here at all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG

import pygit2

from gitopsd.model.event_tests import TESTS_FOLDER
from gitopsd.model.trees import EXECUTABLE, FILE, SUBMODULE, Graft, build_tree, object_id
from gitopsd.repo.commit_source import committed_file
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.index_stat import IndexStat, read_index_stat
from gitopsd.repo.repository import Repository
from gitopsd.repo.source import SourceCollector, SourceFile, SourceTree
from gitopsd.repo.source_rules import (
    MAX_RULES_BYTES,
    TOP_FILE,
    TOP_FOLDERS,
    Belongs,
    SourceProblem,
    is_source,
    refused_kind,
    size_limit,
    too_large,
)

_RULES = (".gitignore", ".gitattributes")
"""What libgit2 reads of the root, and of each folder on the way to a file."""


def read_work_tree(repository: Repository, belongs: Belongs = is_source) -> SourceTree:
    """The source tree as it lies in the work tree: tracked files, and untracked ones that are not ignored.

    With another `belongs` it is other entries of the root that are read.

    No symbolic link is followed, not even one that is put in place while reading. Raises RepositoryError for a bare
    repository or an unreadable index.
    """
    if repository.work_tree is None:
        raise RepositoryError("a bare repository has no work tree to read", "name a revision")
    reader = _Reader(
        repository=repository,
        tracked=_tracked(repository),
        index=read_index_stat(Path(repository.git.path) / "index"),  # a linked work tree has its own
        modes_count=repository.config("core.filemode") != "false",
        collector=SourceCollector(),
        belongs=belongs,
    )
    with _opened(os.fsencode(repository.work_tree), None, os.O_DIRECTORY) as root:
        reader.read_folder("", root)
    files = {
        path: Graft(id=file.blob, mode=EXECUTABLE if file.executable else FILE)
        for path, file in reader.collector.files.items()
    }
    return reader.collector.finish(tree=build_tree(files).id, commit=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tracked:
    modes: dict[str, int]
    folders: frozenset[str]  # those with a tracked file below them, so worth entering even where ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    repository: Repository
    tracked: _Tracked
    index: IndexStat
    modes_count: bool
    collector: SourceCollector
    belongs: Belongs

    def read_folder(self, folder: str, descriptor: int) -> None:
        found = {os.fsencode(name): name for name in os.listdir(descriptor)}
        names = [name for name in found if folder or self.belongs(name, folder=self._is_folder(descriptor, name))]
        if folder and b".git" in found:
            self.collector.refuse(refused_kind(folder.rstrip("/"), "submodule"))
            return
        unusable = [problem for name in _RULES if (problem := self._rules_problem(folder, descriptor, name))]
        if unusable:
            for problem in unusable:
                self.collector.refuse(problem)
            return  # without these files nobody can tell what is in the folder
        wanted = [name for name in names if not self._is_ignored(folder + found[name])]
        for name, path in self.collector.admit(folder, wanted, wanted if folder else list(found)):
            try:
                self._read_entry(descriptor, name, path)
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                self.collector.refuse(
                    SourceProblem(
                        path=path,
                        code="unreadable-file",
                        message=f"cannot be read: {error.strerror}",
                        hint="check its mode",
                    )
                )

    def _read_entry(self, parent: int, name: bytes, path: str) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        mode = status.st_mode
        if self.tracked.modes.get(path) == SUBMODULE:
            self.collector.refuse(refused_kind(path, "submodule"))
        elif S_ISLNK(mode):
            self.collector.refuse(refused_kind(path, "symlink"))
        elif S_ISDIR(mode):
            with _opened(name, parent, os.O_DIRECTORY) as descriptor:
                self.read_folder(path + "/", descriptor)
        elif S_ISREG(mode):
            blob = self.index.blob_of(os.fsencode(path), status)
            if blob is not None and self.repository.has(blob):
                self._take_committed(path, blob, executable=self._is_executable(path, mode))
            else:
                self._read_file(parent, name, path)
        else:
            self.collector.refuse(refused_kind(path, "special-file"))

    def _take_committed(self, path: str, blob: str, *, executable: bool) -> None:
        if self.collector.has_room(path, size := self.repository.blob_size(blob)):
            self.collector.add(path, committed_file(self.repository, blob, executable=executable), size=size)

    def _is_executable(self, path: str, mode: int) -> bool:
        if not self.modes_count and path in self.tracked.modes:
            mode = self.tracked.modes[path]
        return bool(mode & 0o100)

    def _read_file(self, parent: int, name: bytes, path: str) -> None:
        # O_NONBLOCK: a pipe put in the file's place since must not make us wait
        with _opened(name, parent, os.O_NONBLOCK) as descriptor:
            status = os.fstat(descriptor)
            if not S_ISREG(status.st_mode):
                self.collector.refuse(refused_kind(path, "special-file"))
                return
            if not self.collector.has_room(path, status.st_size):
                return
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(size_limit(path) + 1)
        if len(data) > size_limit(path):
            self.collector.refuse(too_large(path, len(data)))
            return
        data = _as_committed(self.repository, path, data)
        executable = self._is_executable(path, status.st_mode)
        taken = SourceFile(blob=object_id("blob", data), executable=executable, data=data)
        self.collector.add(path, taken, size=len(data))

    @staticmethod
    def _rules_problem(folder: str, descriptor: int, name: str) -> SourceProblem | None:
        """Why libgit2 mustn't read that file of the folder: it follows links, waits for pipes, and takes any size."""
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if S_ISLNK(status.st_mode):
            return refused_kind(folder + name, "symlink")
        if S_ISDIR(status.st_mode):
            return None  # Git passes it over
        if not S_ISREG(status.st_mode):
            return refused_kind(folder + name, "special-file")
        if status.st_size > MAX_RULES_BYTES:
            return too_large(folder + name, status.st_size, limit=MAX_RULES_BYTES)
        return None

    def _is_ignored(self, path: str) -> bool:
        if path in self.tracked.modes or path in self.tracked.folders:
            return False
        try:
            return self.repository.git.path_is_ignored(path)
        except (ValueError, pygit2.GitError):
            return False  # a name that Git cannot even ask about is refused by its name

    @staticmethod
    def _is_folder(parent: int, name: bytes) -> bool:
        try:
            return S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError:
            return False


def _tracked(repository: Repository) -> _Tracked:
    try:
        index = repository.git.index
        index.read(False)
        modes = {
            str(entry.path): int(entry.mode)
            for entry in index
            if str(entry.path).partition("/")[0] in TOP_FOLDERS | {TOP_FILE, TESTS_FOLDER}
        }
    except (OSError, ValueError, pygit2.GitError) as error:
        raise RepositoryError(
            f"the index of {repository.work_tree} cannot be read: {error}", "run `git status` there"
        ) from None
    folders = set[str]()
    for path in modes:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return _Tracked(modes=modes, folders=frozenset(folders))


def _as_committed(repository: Repository, path: str, data: bytes) -> bytes:
    """What `git add` would store: line endings and `$Id$` as .gitattributes and core.autocrlf say."""
    if (b"\r" not in data and b"$Id" not in data) or b"\0" in data:
        return data
    filters = repository.git.load_filter_list(path)
    return data if filters is None else filters.apply_to_buffer(data)


@contextmanager
def _opened(name: bytes, parent: int | None, flags: int) -> Iterator[int]:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
