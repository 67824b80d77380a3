"""Bare repositories that people push to and merge in, by libgit2: no work tree, nothing of this machine's settings."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pygit2

_PERSON = pygit2.Signature("somebody", "somebody@example.com", 1_700_000_000, 0)


class ConflictError(Exception):
    """The two can't be merged."""


class BareRepository:
    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            pygit2.init_repository(str(path), bare=True, initial_head="main")
        self._git = pygit2.Repository(str(path))

    def head(self, branch: str) -> str:
        """Empty where there is no such branch."""
        return self.ref(f"refs/heads/{branch}")

    def ref(self, name: str) -> str:
        found = self._git.references.get(name)
        return "" if found is None else str(found.peel(pygit2.Commit).id)

    def has(self, commit: str) -> bool:
        return len(commit) == 40 and commit in self._git

    def set_ref(self, name: str, commit: str) -> None:
        self._git.references.create(name, commit, force=True)

    def delete(self, branch: str) -> None:
        self._git.references.delete(f"refs/heads/{branch}")

    def commit(
        self, branch: str, files: Mapping[str, str | None], message: str = "change", *, start: str = "main"
    ) -> str:
        """These files upon the branch, None for one that goes; a new branch starts where `start` is."""
        parent = self.head(branch) or self.head(start)
        index = pygit2.Index()
        if parent:
            index.read_tree(self._git[parent].peel(pygit2.Tree))
        for path, text in files.items():
            if text is None:
                index.remove(path)
            else:
                blob = self._git.create_blob(text.encode())
                index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        tree = str(index.write_tree(self._git))
        return self._commit(f"refs/heads/{branch}", tree, message, [parent] if parent else [])

    def fetch(self, other: Path, commit: str, ref: str) -> None:
        """A commit of another repository, to `ref` here."""
        command = ["git", "-c", "uploadpack.allowAnySHA1InWant=true", "fetch", "-q", str(other), f"+{commit}:{ref}"]
        subprocess.run(command, cwd=self.path, check=True, capture_output=True)

    def contains(self, commit: str, other: str) -> bool:
        """Whether `other` is `commit` or before it."""
        return commit == other or self._git.descendant_of(commit, other)

    def merge_base(self, one: str, other: str) -> str:
        return str(self._git.merge_base(one, other) or "")

    def commits(self, head: str, base: str) -> list[str]:
        """Those of `head` that aren't in `base`, oldest first."""
        walk = self._git.walk(head, pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE)
        walk.hide(base)
        return [str(one.id) for one in walk]

    def changed(self, base: str, head: str) -> list[tuple[str, str]]:
        """Old and new path of each file that differs."""
        diff = self._git.diff(base, head)
        diff.find_similar()
        return sorted((one.old_file.path, one.new_file.path) for one in diff.deltas)

    def merge_commit(self, branch: str, head: str, message: str) -> str:
        base = self.head(branch)
        return self._commit(f"refs/heads/{branch}", self._merged_tree(base, head), message, [base, head])

    def squash(self, branch: str, head: str, message: str) -> str:
        base = self.head(branch)
        return self._commit(f"refs/heads/{branch}", self._merged_tree(base, head), message, [base])

    def rebase(self, branch: str, head: str) -> str:
        """Each commit of the head again, upon the branch; the last one's id."""
        for one in self.commits(head, self.head(branch)):
            commit = self._git[one].peel(pygit2.Commit)
            onto = self._git[self.head(branch)]
            index = self._git.merge_trees(commit.parents[0].tree, onto.peel(pygit2.Tree), commit.tree)
            if index.conflicts is not None:
                raise ConflictError(one)
            tree = str(index.write_tree(self._git))
            self._commit(f"refs/heads/{branch}", tree, f"{commit.message}\n(rebased)", [str(onto.id)])
        return self.head(branch)

    def _merged_tree(self, base: str, head: str) -> str:
        index = self._git.merge_commits(base, head)
        if index.conflicts is not None:
            raise ConflictError(head)
        return str(index.write_tree(self._git))

    def _commit(self, ref: str, tree: str, message: str, parents: list[str]) -> str:
        return str(self._git.create_commit(ref, _PERSON, _PERSON, message, tree, parents))
