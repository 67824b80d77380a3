"""The record of what became of a deployment: one JSON note on its commit, as `git notes` has them."""

import random
import time
from collections.abc import Callable

import msgspec

from gitopsd.model.trees import TREE, Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import ArtifactBranch, find_entry, list_folder
from gitopsd.repo.commit import Identity, write_commit
from gitopsd.repo.commit_source import commit_tree
from gitopsd.repo.errors import RefMovedError, RepositoryError
from gitopsd.repo.publish import fetch_artifacts, publish
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.remote import Remote
from gitopsd.repo.repository import Repository

_ATTEMPTS = 8


def read_note(repository: Repository, branch: ArtifactBranch, commit: str) -> bytes | None:
    """The note on `commit` as this repository has it: JSON, sorted and indented. None if there is none."""
    head = repository.ref(branch.notes_ref)
    if head is None:
        return None
    tree = commit_tree(repository, head)
    for path in _places(commit):
        entry = find_entry(repository, tree, path)
        if entry is not None and entry.mode != TREE:
            return repository.read(entry.id, "blob")
    return None


def update_note(
    repository: Repository,
    branch: ArtifactBranch,
    remote: Remote | None,
    commit: str,
    change: Callable[[bytes | None], object],
    *,
    author: Identity | None = None,
    deadline: float = 300.0,
) -> bytes:
    """Set the note on `commit` to what `change` makes of the present one, and return its bytes.

    `change` gets the present note or None, and returns anything msgspec can encode as a JSON object; it is called
    again after a lost race, so it must not keep anything. Notes of other commits are never touched. Raises
    RefMovedError after eight lost races, and what `fetch_artifacts` raises.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        fetch_artifacts(repository, branch, remote, deadline=deadline)
        head = repository.ref(branch.notes_ref)
        note = encode_note(change(read_note(repository, branch, commit)))
        if note == read_note(repository, branch, commit):
            return note
        new = _write(repository, head, commit, note, author)
        try:
            update = RefUpdate(ref=branch.notes_ref, new=new, old=head)
            publish(repository, [update], remote, reason=f"gitopsd: note on {commit[:12]}", deadline=deadline)
        except RefMovedError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(random.uniform(0.0, 0.02 * 2**attempt))  # noqa: S311 - jitter
        else:
            return note
    raise AssertionError("unreachable")


def encode_note(record: object) -> bytes:
    """A record as a note holds it: JSON with sorted keys, two spaces, a newline at the end.

    Raises RepositoryError if it does not encode to a JSON object.
    """
    try:
        encoded = msgspec.json.encode(record, order="sorted")
    except (TypeError, msgspec.MsgspecError) as error:
        raise RepositoryError(f"a note cannot hold this record: {error}") from None
    if not encoded.startswith(b"{"):
        raise RepositoryError("a note holds one JSON object")
    return msgspec.json.format(encoded, indent=2) + b"\n"


def _write(repository: Repository, head: str | None, commit: str, note: bytes, author: Identity | None) -> str:
    """A commit of the notes with one of them replaced, in the fan-out `ab/cdef…` so that each costs two small trees."""
    folder, name = commit[:2], commit[2:]
    content: dict[str, tuple[bytes, bool] | Graft] = {}
    if head is not None:
        tree = commit_tree(repository, head)
        top = list_folder(repository, tree)
        below = list_folder(repository, tree, folder)
        content |= {path: Graft(id=entry.id, mode=entry.mode) for path, entry in top.items() if path != folder}
        content |= {f"{folder}/{path}": Graft(id=entry.id, mode=entry.mode) for path, entry in below.items()}
        content.pop(commit, None)  # where `git notes` itself puts the first few
    content[f"{folder}/{name}"] = TreeFile(note)
    try:
        tree_of_notes = build_tree(content)
    except ValueError as error:
        raise RepositoryError(f"the notes of this repository cannot be extended: {error}") from None
    return write_commit(repository, tree_of_notes, parent=head, message="Note added by gitopsd\n", author=author)


def _places(commit: str) -> tuple[str, ...]:
    return (f"{commit[:2]}/{commit[2:]}", commit, f"{commit[:2]}/{commit[2:4]}/{commit[4:]}")
