"""Writing commits from trees in memory: objects first, as one pack; the ref moves only once they are durable."""

import re
import socket
import time
from dataclasses import dataclass

import pygit2

from gitopsd.model.trees import BuiltTree, GitObject, object_id
from gitopsd.repo.commit_signature import with_signature
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.pack import check_present, write_objects
from gitopsd.repo.repository import Repository, unreadable_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str


def identity_of(repository: Repository) -> Identity:
    """The identity in Git's configuration (`user.name`, `user.email`), else gitopsd at this host."""
    name, email = repository.config("user.name"), repository.config("user.email")
    return Identity(name=name or "gitopsd", email=email or f"gitopsd@{socket.gethostname() or 'localhost'}")


def author_of(repository: Repository, commit: str) -> Identity:
    """Who wrote a commit. Raises RepositoryError where it is missing or damaged."""
    try:
        author = repository.git[pygit2.Oid(hex=commit)].peel(pygit2.Commit).author
        name, email = (raw or b"" for raw in (author.raw_name, author.raw_email))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise unreadable_object(commit, str(error).strip("'\"")) from None
    return Identity(name=name.decode("utf-8", "replace"), email=email.decode("utf-8", "replace"))


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

    `author` is who wrote what it is of; its committer is always whoever Git's configuration says we are. It is signed
    where the repository has a `signer`. `now` is in seconds since the epoch (default: the clock); the same arguments
    give the same id, with a key that signs the same twice (ed25519). Raises RepositoryError when a graft of the tree is
    missing here, it can't be signed, or the objects cannot be written.
    """
    check_present(repository, tree.grafts)
    committer = identity_of(repository)
    data = commit_data(
        tree=tree.id,
        parent=parent,
        message=message,
        author=author or committer,
        committer=committer,
        now=int(time.time()) if now is None else now,
    )
    if repository.signer is not None:
        data = with_signature(data, repository.signer(data))
    commit = object_id("commit", data)
    write_objects(repository, {**tree.objects, commit: GitObject("commit", data)})
    return commit


def commit_data(
    *, tree: str, parent: str | None, message: str, author: Identity, now: int, committer: Identity | None = None
) -> bytes:
    """The bytes of a commit object; times are written in UTC."""
    if "\0" in message:
        raise RepositoryError("a commit message cannot hold a NUL")
    by, written = (
        f"{_clean(who.name) or 'gitopsd'} <{_clean(who.email)}> {now} +0000" for who in (author, committer or author)
    )
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {by}", f"committer {written}"]
    return "\n".join([*lines, "", message]).encode("utf-8", "replace")


def _clean(text: str) -> str:
    """Without what would end the field or the line, as Git itself drops it."""
    return re.sub(r"[\x00-\x1f<>]", "", text).strip(" .,:;\"'\\")
