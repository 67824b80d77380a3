"""What deploys by itself follows what was deployed: a source branch whose history was rewritten needs a person's word.

That word is the acceptance in `control.json`. It counts for what was deployed or seen before it was given, and no
longer: each rewriting needs its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from gitopsd.daemon.artifacts.control import control_of
from gitopsd.daemon.artifacts.state import read_control
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.secrets.signing import listed_controllers
from gitopsd.daemon.trust.remembered import SeenSource, trust_memory
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import Acceptance
from gitopsd.model.excerpt import printable
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, ArtifactHead, history
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import default_branch, is_ancestor, resolve_commit
from gitopsd.repo.ssh_signature import NotSigned, verify_commit

_FARTHEST = 500
"""Commits of the artifact branch that are looked at for the version that was deployed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A version that was taken before. `accepted` is the acceptance that was given since then, if there is one.

    `must_follow`: the next one descends from it; else it only mustn't be older.
    """

    commit: str
    what: str
    accepted: Acceptance | None
    must_follow: bool = True


def refuse_other_history(workspace: Workspace, branch: ArtifactBranch, commit: str, head: ArtifactHead | None) -> None:
    """Raises ControllerError for a version that is older than what was deployed or seen, or that doesn't follow it."""
    if head is not None:
        for known in _known_versions(workspace, branch, head):
            _refuse(workspace, head, commit, known)


def remember_source(workspace: Workspace, branch: ArtifactBranch, commit: str, head: ArtifactHead) -> None:
    """That the version was taken, whether or not it changed anything. One of another branch is nobody's history."""
    if is_off_branch(workspace, commit):
        return
    accepted = control_of(workspace.repository, head).accepted
    seen = SeenSource(commit=commit, accepted=_fingerprint(accepted))
    memory = trust_memory(workspace, branch)
    if memory.source() != seen:
        memory.keep_source(seen)


def is_off_branch(workspace: Workspace, commit: str) -> bool:
    """Whether the version isn't part of the source branch, as far as this clone tells which one that is."""
    repository = workspace.repository
    try:
        head = resolve_commit(repository, workspace.configuration.source_branch or default_branch(repository))
    except RepositoryError:  # on no branch: only somebody who names versions works like that
        return True
    return not is_ancestor(repository, commit, head)


def _known_versions(workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead) -> Iterator[_Known]:
    repository = workspace.repository
    accepted = control_of(repository, head).accepted

    def given_since(commit: ArtifactCommit) -> Acceptance | None:
        return accepted if read_control(repository, commit.tree).accepted != accepted else None

    newest = head.deployment
    if newest is not None and newest.trailers is not None:
        yield _Known(
            commit=newest.trailers.source_commit,
            what=_came_from(newest),
            accepted=given_since(newest),
            must_follow=not newest.off_branch,
        )
    taken = (one for one in islice(history(repository, head.commit.id), _FARTHEST) if one.source_commit)
    followed = next((one for one in taken if not one.off_branch), None)
    if followed is not None:
        yield _Known(commit=followed.source_commit, what=_came_from(followed), accepted=given_since(followed))
    seen = trust_memory(workspace, branch).source()
    if seen is not None and repository.has(seen.commit):
        since = accepted if _fingerprint(accepted) != seen.accepted else None
        yield _Known(commit=seen.commit, what="what this controller took last is", accepted=since)


def _refuse(workspace: Workspace, head: ArtifactHead, commit: str, known: _Known) -> None:
    repository = workspace.repository
    is_here = repository.has(known.commit)
    if known.commit == commit or (is_here and is_ancestor(repository, known.commit, commit)):
        return
    accepted = known.accepted
    if accepted is not None and repository.has(accepted.commit) and is_ancestor(repository, accepted.commit, commit):
        _require_signature(workspace, head, accepted)
        return
    named = f"say why to go to it all the same: `gitopsd apply {commit[:12]} --hold REASON`"
    rewritten = f"where history was rewritten on purpose: `gitopsd accept {commit[:12]} --reason TEXT`"
    if not is_here:
        raise ControllerError(
            f"{known.what} commit {known.commit[:12]}, which is not in this clone",
            f"bring this clone up to date, or {named}; {rewritten}",
        )
    if is_ancestor(repository, commit, known.commit):
        raise ControllerError(
            f"{known.what} commit {known.commit[:12]}, which is newer than {commit[:12]}",
            f"bring this clone up to date, or {named}; {rewritten}",
        )
    if known.must_follow:
        raise ControllerError(
            f"{known.what} commit {known.commit[:12]}, which {commit[:12]} doesn't follow: the history of the source "
            "branch was rewritten",
            f"nothing was deployed; push a version that follows {known.commit[:12]}, or {named}; {rewritten}",
        )


def _came_from(commit: ArtifactCommit) -> str:
    return f"deployment {commit.trailers.deployment} came from" if commit.trailers else "what was recorded last is"


def _require_signature(workspace: Workspace, head: ArtifactHead, accepted: Acceptance) -> None:
    """Whoever can push to the artifact branch could accept whatever is on the source branch, too."""
    lists = listed_controllers(workspace.configuration)
    if lists is None:
        return
    commit = _given_by(workspace.repository, head, accepted)
    found = verify_commit(workspace.repository, commit.id, lists)
    if isinstance(found, NotSigned):
        raise ControllerError(
            printable(
                f"commit {accepted.commit[:12]} was accepted by {accepted.owner}, but that isn't believed: the "
                f"commit {commit.id[:12]} that says so {found.why}"
            ),
            "`gitopsd accept` again, where `signing.key` is one of those that `policy.controllers` lists",
        )


def _given_by(repository: Repository, head: ArtifactHead, accepted: Acceptance) -> ArtifactCommit:
    """The commit that put it into `control.json`."""
    given = head.commit
    for commit in history(repository, head.commit.id):
        if read_control(repository, commit.tree).accepted != accepted:
            break
        given = commit
    return given


def _fingerprint(accepted: Acceptance | None) -> str:
    return msgspec.json.encode(accepted).decode() if accepted else ""
