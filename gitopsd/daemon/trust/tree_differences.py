"""Where a committed tree differs from the one that was to be expected."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from gitopsd.model.excerpt import printable
from gitopsd.model.trees import TREE, BuiltTree, TreeEntry, parse_tree
from gitopsd.planner.plan.text_diff import text_diff
from gitopsd.repo.repository import Repository

_LONGEST_FILE = 256 << 10
"""Bytes of a file whose difference is shown."""

_MAX_DEPTH = 64  # folders; our own trees are under ten deep


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDifference:
    """A file, or a folder that only one side has. None where a side hasn't got it."""

    path: str
    expected: TreeEntry | None
    found: TreeEntry | None


def find_differences(repository: Repository, expected: BuiltTree, tree: str, *, most: int) -> list[PathDifference]:
    """The first ones in the order of their paths. Raises RepositoryError for objects that are missing or damaged."""
    return list(islice(_Sides(repository, expected).differences("", expected.id, tree, 0), most))


def show_difference(repository: Repository, expected: BuiltTree, difference: PathDifference) -> str:
    """From what was expected to what is committed, as people read it; safe to print."""
    sides = _Sides(repository, expected)
    before, after = (sides.text(entry) for entry in (difference.expected, difference.found))
    path = printable(difference.path)
    if before is None or after is None:
        return f"{path}: it is no file on one side, or larger than {_LONGEST_FILE:,} bytes\n"
    if before == after:
        return f"{path}: its mode differs\n"
    return "".join(f"{printable(line)}\n" for line in text_diff(path, before, after).splitlines())


@dataclass(frozen=True, slots=True)
class _Sides:
    repository: Repository
    expected: BuiltTree

    def differences(self, prefix: str, expected: str, found: str, depth: int) -> Iterator[PathDifference]:
        """Below two trees."""
        if expected == found or depth > _MAX_DEPTH:
            return
        one, other = self._entries(expected), self._entries(found)
        for name in sorted(one.keys() | other.keys()):
            before, after = one.get(name), other.get(name)
            path = prefix + name
            if before == after:
                continue
            if before is not None and after is not None and before.mode == after.mode == TREE:
                yield from self.differences(f"{path}/", before.id, after.id, depth + 1)
            else:
                yield PathDifference(path=path, expected=before, found=after)

    def text(self, entry: TreeEntry | None) -> bytes | None:
        """Of a file; empty for none, None for what isn't shown."""
        if entry is None:
            return b""
        if entry.mode & 0o170000 != 0o100000:
            return None
        known = self.expected.objects.get(entry.id)
        if known is not None:
            return known.data if len(known.data) <= _LONGEST_FILE else None
        if self.repository.blob_size(entry.id) > _LONGEST_FILE:
            return None
        return self.repository.read(entry.id, "blob")

    def _entries(self, tree: str) -> dict[str, TreeEntry]:
        known = self.expected.objects.get(tree)
        lines = self.repository.tree(tree) if known is None else parse_tree(known.data)
        return {name.decode("utf-8", "surrogateescape"): TreeEntry(mode, entry) for mode, name, entry in lines}
