"""From the names that people give to commits."""

import re

import pygit2

from gitopsd.repo.errors import RepositoryError, UnknownRevisionError
from gitopsd.repo.repository import Repository


def resolve_commit(repository: Repository, revision: str) -> str:
    """The commit id behind a branch, tag, commit id or prefix of one (4 digits or more), `HEAD~2` and the like.

    Raises UnknownRevisionError when nothing has that name, or a branch and a tag of that name differ.
    """
    git = repository.git
    if revision in {"", "@"} or re.search(r"[\s\x00-\x1f]|\.\.|^-|:|\{/", revision):
        # Git would search the history for `:/text`; a deployed revision is named, not searched for.
        raise UnknownRevisionError(f"{revision!r} does not name a commit", "name a branch, a tag or a commit")
    named = {
        name: target
        for name in (f"refs/tags/{revision}", f"{repository.branch_prefix}{revision}")
        if (target := _ref_commit(repository, name)) is not None
    }
    if len(set(named.values())) > 1:
        raise UnknownRevisionError(
            f"{revision!r} is both a tag and a branch, at different commits", f"write {' or '.join(sorted(named))}"
        )
    if named:
        return next(iter(named.values()))
    try:
        return str(git.revparse_single(_full_name(repository, revision)).peel(pygit2.Commit).id)
    except KeyError:
        raise UnknownRevisionError(
            f"there is no branch, tag or commit {revision!r} in the repository",
            "`git branch --all` and `git tag` list the names; fetch if it is new",
        ) from None
    except ValueError as error:
        raise UnknownRevisionError(
            f"{revision!r} does not name one commit: {error}", "give more of its digits"
        ) from None
    except pygit2.GitError as error:
        raise RepositoryError(f"{revision!r} cannot be read: {error}", "run `git fsck` in the repository") from None


def default_branch(repository: Repository) -> str:
    """The short name of the branch that HEAD is on: the source branch where none is configured.

    Raises RepositoryError when HEAD is detached, or on a branch without a commit.
    """
    head = "refs/remotes/origin/HEAD" if repository.branch_prefix != "refs/heads/" else "HEAD"
    hint = "name the branch with source_branch in the configuration, or give a revision"
    try:
        if next(iter(repository.git.references), None) is None:
            raise RepositoryError("the repository has no commit yet", "push the source branch")
        target = repository.reference(head)
    except (ValueError, pygit2.GitError) as error:
        raise RepositoryError(f"HEAD cannot be read: {error}", hint) from None
    if target is None or not isinstance(target.target, str):
        raise RepositoryError("HEAD is on no branch, so there is no default source branch", hint)
    if _ref_commit(repository, target.target) is None:
        branches = sorted(
            name.removeprefix(repository.branch_prefix)
            for name in repository.git.references
            if name.startswith(repository.branch_prefix) and not name.endswith("/HEAD")
        )
        raise RepositoryError(
            f"HEAD is on {target.target}, which has no commit; there are: {', '.join(branches[:8]) or 'no branches'}",
            hint,
        )
    return target.target.removeprefix(repository.branch_prefix)


def is_ancestor(repository: Repository, ancestor: str, descendant: str) -> bool:
    """Whether `ancestor` is `descendant` or in its history."""
    if ancestor == descendant:
        return True
    try:
        return repository.git.descendant_of(pygit2.Oid(hex=descendant), pygit2.Oid(hex=ancestor))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise RepositoryError(
            f"the history between {ancestor} and {descendant} cannot be read: {error}",
            "run `git fsck` in the repository",
        ) from None


def _full_name(repository: Repository, revision: str) -> str:
    """In a cached clone HEAD and `main~2` mean the remote's."""
    if repository.branch_prefix == "refs/heads/":
        return revision
    base, suffix = re.fullmatch(r"([^~^@]*)(.*)", revision, re.DOTALL).groups()  # type: ignore[union-attr] # always matches
    full = "refs/remotes/origin/HEAD" if base == "HEAD" else f"{repository.branch_prefix}{base}"
    return full + suffix if repository.reference(full) is not None else revision


def _ref_commit(repository: Repository, name: str) -> str | None:
    if not pygit2.reference_is_valid_name(name):
        return None
    reference = repository.reference(name)
    try:
        return None if reference is None else str(reference.peel(pygit2.Commit).id)
    except (KeyError, ValueError, pygit2.GitError):
        return None  # a tag of a tree or blob names no commit
