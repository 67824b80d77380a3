"""The source tree as values: what the compiler gets, whether it came from a commit or from the work tree."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gitopsd.repo.source_rules import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_PROBLEMS,
    MAX_TOTAL_BYTES,
    SourceProblem,
    check_content,
    check_name,
    find_collisions,
    limit_reached,
    may_be_refused,
    printable,
    size_limit,
    too_large,
)


class SourceFile:
    """One file: the Git blob id of its content, whether it is executable, and the content, read when it is asked for.

    Two files are equal when their content and mode are. Reading raises RepositoryError where the object is damaged.
    """

    __slots__ = ("_data", "_read", "blob", "executable")

    def __init__(self, *, blob: str, executable: bool, data: bytes | Callable[[], bytes]) -> None:
        self.blob = blob
        self.executable = executable
        self._data = data if isinstance(data, bytes) else None
        self._read = None if isinstance(data, bytes) else data

    @property
    def data(self) -> bytes:
        if self._data is None:
            assert self._read is not None  # noqa: S101 - one of the two is there, as __init__ says
            self._data = self._read()
            self._read = None
        return self._data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SourceFile):
            return NotImplemented
        return (self.blob, self.executable) == (other.blob, other.executable)

    def __hash__(self) -> int:
        return hash((self.blob, self.executable))

    def __repr__(self) -> str:
        return f"SourceFile(blob={self.blob!r}, executable={self.executable!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """gitopsd.yaml and the folders beside it that matter, in path order.

    `id` is the Git tree id of just those entries, so a commit that changes nothing else has the id of its parent, and
    a clean work tree that of its commit. `commit` is None for the work tree. Files named in `problems` are not in
    `files`; with problems the version is to be refused, and the id says nothing.
    """

    id: str
    commit: str | None
    files: Mapping[str, SourceFile]
    problems: tuple[SourceProblem, ...]


class FileContents(Mapping[str, bytes]):
    """The bytes of a tree's files by path, each read when it is looked up: for excerpts in diagnostics."""

    def __init__(self, files: Mapping[str, SourceFile]) -> None:
        self._files = files

    def __getitem__(self, path: str) -> bytes:
        return self._files[path].data

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class SourceCollector:
    """Gathers files and problems of one source tree and keeps the limits, for both ways of reading."""

    def __init__(self) -> None:
        self.files: dict[str, SourceFile] = {}
        self.problems: list[SourceProblem] = []
        self.full = False  # a limit of the whole tree was passed: stop reading
        self._entries = 0
        self._bytes = 0

    def refuse(self, problem: SourceProblem) -> None:
        self.problems.append(problem)
        self.full = self.full or len(self.problems) >= MAX_PROBLEMS

    def admit(self, folder: str, names: list[bytes], siblings: list[bytes]) -> Iterator[tuple[bytes, str]]:
        """The (name, path) of the entries of one folder that may be looked at; `folder` is "" or ends in a slash.

        `siblings` are all names there, those that are not asked about included.
        """
        if folder.count("/") > MAX_DEPTH:
            self.refuse(limit_reached(folder, "too-deep"))
            return
        colliding = {problem.path: problem for problem in find_collisions(folder, map(_decoded, siblings))}
        for name in sorted(names):
            if self.full:
                return
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                self.refuse(limit_reached(folder + printable(name), "too-many-files"))
                self.full = True
                return
            path, problem = check_name(folder, name)
            problem = problem or colliding.get(path)
            if problem is not None:
                self.refuse(problem)
            else:
                yield name, path

    def has_room(self, path: str, size: int) -> bool:
        """Whether a file of `size` bytes may be read; says why not as a problem."""
        if size > size_limit(path):
            self.refuse(too_large(path, size))
            return False
        self._bytes += size
        if self._bytes > MAX_TOTAL_BYTES:
            self.refuse(limit_reached(path, "source-too-large"))
            self.full = True
            return False
        return True

    def add(self, path: str, file: SourceFile, *, size: int) -> None:
        """Takes the file unless its content is refused; only where that is possible, by its size, is it read."""
        problem = check_content(path, file.data) if may_be_refused(size) else None
        if problem is not None:
            self.refuse(problem)
        else:
            self.files[path] = file

    def finish(self, *, tree: str, commit: str | None) -> SourceTree:
        return SourceTree(
            id=tree,
            commit=commit,
            files=MappingProxyType(dict(sorted(self.files.items()))),
            problems=tuple(sorted(self.problems, key=lambda problem: (problem.path, problem.code))),
        )


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
