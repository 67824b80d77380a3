"""Opening a repository, and reading single objects of it."""

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from gitopsd.model.trees import ObjectKind, parse_tree
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.location import looks_like_url, parse_url, path_identity

# CVE-2024-24575 and CVE-2024-24577, fixed in 1.7.2
_OLDEST_LIBGIT2 = (1, 7, 2)

_MOST_ROOTS = 1000

_KINDS: dict[int, ObjectKind] = {
    pygit2.GIT_OBJECT_BLOB: "blob",
    pygit2.GIT_OBJECT_TREE: "tree",
    pygit2.GIT_OBJECT_COMMIT: "commit",
}


TreeEntries = list[tuple[int, bytes, str]]
"""The (mode, name, id) of each line of a tree object, in its order; names are raw bytes."""


class _KnownObjects:
    """Trees that were parsed, sizes that were looked up, histories that were walked; the oldest forgotten first."""

    def __init__(self, *, max_lines: int = 100_000) -> None:
        self.trees: OrderedDict[str, TreeEntries] = OrderedDict()
        self.sizes: OrderedDict[str, int] = OrderedDict()
        self.roots: OrderedDict[str, str] = OrderedDict()
        self._lines = 0
        self._max_lines = max_lines

    def add_tree(self, tree: str, entries: TreeEntries) -> None:
        self.trees[tree] = entries
        self._lines += len(entries) + 1
        while self._lines > self._max_lines:
            self._lines -= len(self.trees.popitem(last=False)[1]) + 1

    def add_root(self, commit: str, root: str) -> None:
        self.roots[commit] = root
        if len(self.roots) > _MOST_ROOTS:
            self.roots.popitem(last=False)

    def add_size(self, blob: str, size: int) -> None:
        self.sizes[blob] = size
        if len(self.sizes) > self._max_lines:
            self.sizes.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An open SHA-1 repository that has at least one ref.

    `git_dir` is the folder of objects and refs, shared by all linked work trees. `work_tree` is None for a bare one.
    `identity` is the same for every spelling of its location. `branch_prefix` is where people's branches are:
    `refs/heads/`, or `refs/remotes/origin/` in our cached clone of a URL. `git_environment` is what `git` needs beyond
    the repository's own configuration to reach its remote; it may hold credentials. `signer` gives the armored
    signature of a commit that is written here; None where none are signed. One thread at a time.
    """

    git: pygit2.Repository
    git_dir: Path
    work_tree: Path | None
    identity: str
    branch_prefix: str = "refs/heads/"
    git_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    signer: Callable[[bytes], bytes] | None = field(default=None, repr=False, compare=False)
    _known: _KnownObjects = field(default_factory=_KnownObjects, repr=False, compare=False)

    def read(self, object_id: str, kind: ObjectKind) -> bytes:
        """The bytes of an object. Raises RepositoryError if it is missing, damaged, or of another kind."""
        try:
            found, data = self.git.odb.read(pygit2.Oid(hex=object_id))
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise unreadable_object(object_id, str(error).strip("'\"")) from None
        if _KINDS.get(found) != kind:
            raise unreadable_object(object_id, f"it is not a {kind}")
        return data

    def tree(self, tree_id: str) -> TreeEntries:
        """The lines of a tree object, parsed once. Raises RepositoryError as `read` does."""
        entries = self._known.trees.get(tree_id)
        if entries is not None:
            self._known.trees.move_to_end(tree_id)
            return entries
        try:
            entries = parse_tree(self.read(tree_id, "tree"))
        except ValueError as error:
            raise unreadable_object(tree_id, str(error)) from None
        self._known.add_tree(tree_id, entries)
        return entries

    def blob_size(self, blob_id: str) -> int:
        """The size of a blob in bytes, by its header. Raises RepositoryError as `read` does."""
        size = self._known.sizes.get(blob_id)
        if size is not None:
            return size
        try:
            kind, size = self.git.odb.read_header(pygit2.Oid(hex=blob_id))[:2]
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise unreadable_object(blob_id, str(error).strip("'\"")) from None
        if _KINDS.get(kind) != "blob":
            raise unreadable_object(blob_id, "it is not a blob")
        self._known.add_size(blob_id, size)
        return size

    def root_of(self, commit: str) -> str:
        """The first commit along first parents, from where it was last walked to. Raises RepositoryError."""
        root = following = commit
        try:
            while following and following not in self._known.roots:
                root = following
                parents = self.git[pygit2.Oid(hex=following)].peel(pygit2.Commit).parent_ids
                following = str(parents[0]) if parents else ""
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise unreadable_object(following, str(error).strip("'\"")) from None
        root = self._known.roots.get(following, root)
        self._known.add_root(commit, root)
        return root

    def has(self, object_id: str) -> bool:
        """Whether the object is here."""
        return pygit2.Oid(hex=object_id) in self.git.odb

    def ref(self, name: str) -> str | None:
        """The commit (or tag object) that a ref points at right now, by its full name; None without such a ref."""
        try:
            found = self.reference(name)
            return None if found is None else str(found.resolve().target)
        except KeyError:  # it names a ref that isn't there
            return None
        except (ValueError, pygit2.GitError) as error:
            raise RepositoryError(f"{name} cannot be read: {error}", "run `git fsck` in the repository") from None

    def reference(self, name: str) -> pygit2.Reference | None:
        """A ref by its full name. Raises ValueError or pygit2.GitError for one that can't be read.

        pygit2 1.21 never lets go of a name that it was asked for: of an interned one there is one in all.
        """
        return self.git.references.get(sys.intern(name))

    def config(self, name: str) -> str | None:
        """A value of Git's configuration, as libgit2 layers it; None when unset."""
        try:
            return self.git.config[name]
        except KeyError:
            return None


def open_repository(
    location: str | None, cwd: Path, *, ssh_identity: str = "", may_be_away: bool = False, may_be_empty: bool = False
) -> Repository:
    """The repository at `location` (a path or URL), or the one around `cwd` when that is None.

    A URL is served from a cached bare clone, fetched first; over SSH with that key, before those that `ssh` tries by
    itself. Raises RepositoryError, with a hint, when there is no
    repository, it is empty (but for `may_be_empty`), uses SHA-256, belongs to somebody else, or cannot be read.
    """
    if location is not None and looks_like_url(location):
        from gitopsd.repo.cache import open_cached_clone  # noqa: PLC0415 - it opens the clone through this module

        return open_cached_clone(
            parse_url(location), ssh_identity=ssh_identity, may_be_away=may_be_away, may_be_empty=may_be_empty
        )
    if location is None:
        found = discover(cwd)
        if found is None:
            raise RepositoryError(
                f"there is no Git repository at or above {cwd}", "change into one, or name one with --repo PATH|URL"
            )
        return open_at(Path(found), may_be_empty=may_be_empty)
    return open_at(cwd / Path(location).expanduser(), may_be_empty=may_be_empty)


def discover(cwd: Path) -> str | None:
    """The Git folder of the repository at or above `cwd`; None without one."""
    return pygit2.discover_repository(str(cwd))


def open_at(path: Path, *, may_be_empty: bool = False) -> Repository:
    """The repository whose work tree or Git folder is exactly `path`. Raises as `open_repository` does."""
    git = open_git(path)
    git_dir = common_dir(git)
    try:
        has_commit = not git.head_is_unborn or next(iter(git.references), None) is not None
    except (KeyError, ValueError, OSError, pygit2.GitError) as error:
        raise _why_not(path, str(error)) from None
    if not has_commit and not may_be_empty:
        raise RepositoryError(f"the repository {path} has no commit yet", "commit something and run this again")
    return Repository(
        git=git,
        git_dir=git_dir,
        work_tree=Path(git.workdir) if git.workdir else None,
        identity=path_identity(git_dir),
    )


def open_git(path: Path) -> pygit2.Repository:
    """libgit2's view of the repository at exactly `path`, which may be empty. Raises as `open_repository` does."""
    if pygit2.LIBGIT2_VER < _OLDEST_LIBGIT2:
        raise RepositoryError(
            f"libgit2 {pygit2.LIBGIT2_VERSION} has known security holes", "install a pygit2 with libgit2 1.7.2 or later"
        )
    try:
        return pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
    except (KeyError, ValueError, OSError, pygit2.GitError) as error:
        raise _why_not(path, str(error)) from None


def common_dir(git: pygit2.Repository) -> Path:
    """Where a linked work tree's repository really is (`git rev-parse --git-common-dir`)."""
    git_dir = Path(git.path)
    pointer = git_dir / "commondir"
    return (git_dir / pointer.read_text().strip()).resolve() if pointer.exists() else git_dir.resolve()


def reopened(repository: Repository) -> Repository:
    """The same once more: libgit2 keeps every pack open that it ever read from, those that are gone included."""
    path = repository.git.path
    return replace(repository, git=pygit2.Repository(path, RepositoryOpenFlag.NO_SEARCH), _known=_KnownObjects())


def unreadable_object(object_id: str, why: str) -> RepositoryError:
    """The error for an object that a repository names and cannot give."""
    return RepositoryError(
        f"the object {object_id} of the repository cannot be read: {why}",
        "run `git fsck`; fetch it again from a remote or another clone",
    )


def _why_not(path: Path, error: str) -> RepositoryError:
    if "object format" in error or "objectformat" in error.lower():
        return RepositoryError(
            f"{path} does not name its objects by SHA-1: {error}",
            "gitopsd works with SHA-1 repositories only; `git init` without --object-format=sha256 makes one",
        )
    if "not owned by" in error:
        return RepositoryError(
            f"the repository {path} belongs to another user",
            f"if you trust it: git config --global --add safe.directory {path}",
        )
    if not path.exists():
        return RepositoryError(f"{path} does not exist", "name a repository with --repo PATH|URL")
    if "not found" in error.lower() or "could not find" in error.lower():
        around = pygit2.discover_repository(str(path))
        hint = f"the repository around it is {Path(around)}" if around else "name one with --repo PATH|URL"
        return RepositoryError(f"{path} is not a Git repository", hint)
    return RepositoryError(f"the repository {path} cannot be read: {error}", "run `git fsck` there")
