"""What an environment is pinned to: a tag or a commit, and never anything that moves by itself."""

import re
from dataclasses import dataclass

import pygit2

from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

_DIGITS = re.compile(r"[0-9a-f]{7,40}")
_TAGS = "refs/tags/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """`commit` is the full id."""

    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesBranch:
    """The pin is a branch, here or of a remote, that is at `commit` now."""

    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesNothing:
    """`why` is empty where there is simply no such tag or commit."""

    why: str = ""


def resolve_pin(repository: Repository, pin: str) -> Pinned | NamesBranch | NamesNothing:
    """A tag of that name wins over everything else; then come commits, by 7 digits or more; a branch is none."""
    tag = _reference(repository, f"{_TAGS}{pin}")
    if tag is not None:
        commit = _commit_of(tag)
        return NamesNothing(why=f"the tag `{pin}` names no commit") if commit is None else Pinned(commit=commit)
    digits = pin.lower()
    if _DIGITS.fullmatch(digits):
        try:
            return Pinned(commit=str(repository.git[digits].peel(pygit2.Commit).id))
        except KeyError:
            pass
        except ValueError:
            return NamesNothing(why=f"several objects of this repository begin with `{pin}`: write more digits")
        except pygit2.GitError:
            return NamesNothing(why=f"`{pin}` is not a commit")
    branch = _branch_commit(repository, pin)
    return NamesNothing() if branch is None else NamesBranch(commit=branch)


def tag_ref(pin: str) -> str:
    """The full name of the tag that a pin may name; empty where no tag can have that name."""
    name = f"{_TAGS}{pin}"
    return name if pygit2.reference_is_valid_name(name) else ""


def tag_names(repository: Repository) -> list[str]:
    return [name.removeprefix(_TAGS) for name in repository.git.references if name.startswith(_TAGS)]


def _branch_commit(repository: Repository, name: str) -> str | None:
    """`main`, `origin/main`, `refs/heads/main`; HEAD moves with its branch. Also one that only a remote has."""
    candidates = [f"refs/heads/{name}", f"refs/remotes/{name}"]
    if name == "HEAD" or name.startswith(("refs/heads/", "refs/remotes/")):
        candidates.append(name)
    elif name.startswith(("heads/", "remotes/")):
        candidates.append(f"refs/{name}")
    candidates += [f"refs/remotes/{remote}/{name}" for remote in repository.git.remotes.names() if remote]
    references = (_reference(repository, candidate) for candidate in candidates)
    return next((commit for one in references if one is not None and (commit := _commit_of(one))), None)


def _reference(repository: Repository, name: str) -> pygit2.Reference | None:
    if not pygit2.reference_is_valid_name(name):
        return None
    try:
        return repository.reference(name)
    except (ValueError, pygit2.GitError) as error:
        raise RepositoryError(f"{name} cannot be read: {error}", "run `git fsck` in the repository") from None


def _commit_of(reference: pygit2.Reference) -> str | None:
    try:
        return str(reference.peel(pygit2.Commit).id)
    except (KeyError, ValueError, pygit2.GitError):
        return None
