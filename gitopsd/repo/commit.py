"""Writing commits from trees in memory: objects first, as one pack; the ref moves only once they are durable."""

import re
import socket
import time
from dataclasses import dataclass

from gitopsd.model.trees import BuiltTree, GitObject, object_id
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.pack import check_present, write_objects
from gitopsd.repo.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str


def identity_of(repository: Repository) -> Identity:
    """The identity in Git's configuration (`user.name`, `user.email`), else gitopsd at this host."""
    name, email = repository.config("user.name"), repository.config("user.email")
    return Identity(name=name or "gitopsd", email=email or f"gitopsd@{socket.gethostname() or 'localhost'}")


def write_commit(
    repository: Repository,
    tree: BuiltTree,
    *,
    parent: str | None,
    message: str,
    author: Identity | None = None,
    now: int | None = None,
) -> str:
    """Store a commit of `tree` on top of `parent` and return its id. No ref points at it yet: `publish` does that.

    `now` is in seconds since the epoch (default: the clock); the same arguments give the same id. Raises
    RepositoryError when a graft of the tree is missing here, or the objects cannot be written.
    """
    check_present(repository, tree.grafts)
    data = commit_data(
        tree=tree.id,
        parent=parent,
        message=message,
        author=author or identity_of(repository),
        now=int(time.time()) if now is None else now,
    )
    commit = object_id("commit", data)
    write_objects(repository, {**tree.objects, commit: GitObject("commit", data)})
    return commit


def commit_data(*, tree: str, parent: str | None, message: str, author: Identity, now: int) -> bytes:
    """The bytes of a commit object; times are written in UTC."""
    if "\0" in message:
        raise RepositoryError("a commit message cannot hold a NUL")
    who = f"{_clean(author.name) or 'gitopsd'} <{_clean(author.email)}> {now} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
    return "\n".join([*lines, "", message]).encode("utf-8", "replace")


def _clean(text: str) -> str:
    """Without what would end the field or the line, as Git itself drops it."""
    return re.sub(r"[\x00-\x1f<>]", "", text).strip(" .,:;\"'\\")
