"""Where artifact branches live: in the remote if there is one, in this repository otherwise.

With a remote, a commit is pushed first and the local branch follows. So a crash in between leaves the local branch
behind, which the next fetch heals, and never ahead.
"""

from collections.abc import Sequence

from gitopsd.model.trees import BuiltTree
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead
from gitopsd.repo.commit import Identity, write_commit
from gitopsd.repo.errors import DivergedError, RefMovedError, RepositoryError
from gitopsd.repo.refs import RefUpdate, delete_ref, update_ref
from gitopsd.repo.remote import Remote, fetch, list_remote, push, tracking_ref
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import is_ancestor
from gitopsd.repo.trailers import DeploymentTrailers, deployment_message

_FOLLOW_ATTEMPTS = 5


def fetch_artifacts(
    repository: Repository, branch: ArtifactBranch, remote: Remote | None, *, deadline: float = 300.0
) -> None:
    """Bring the local artifact branch and its notes up to the remote's, by fast-forward only. No remote: nothing to do.

    One round trip when nothing is new. Raises DivergedError when the local side has commits that the remote lacks
    (nothing is changed then), or a RemoteError.
    """
    if remote is None or remote.away:
        return
    refs = (branch.ref, branch.notes_ref)
    theirs = list_remote(repository, remote, refs, deadline=deadline)
    stale = [ref for ref in refs if ref in theirs and repository.ref(tracking_ref(remote, ref)) != theirs[ref]]
    if stale:
        fetch(repository, remote, [f"+{ref}:{tracking_ref(remote, ref)}" for ref in stale], deadline=deadline)
    for ref in refs:
        if ref not in theirs:
            delete_ref(repository, tracking_ref(remote, ref))
    for ref in refs:
        _follow(repository, remote, ref, repository.ref(tracking_ref(remote, ref)))


def publish(
    repository: Repository,
    updates: Sequence[RefUpdate],
    remote: Remote | None,
    *,
    reason: str,
    deadline: float = 300.0,
) -> None:
    """Compare-and-swap refs where they live. The objects must be written already.

    Raises RefMovedError when a race was lost: fetch, read and build again. Never forces: a `new` that does not descend
    from its `old` is refused with a RepositoryError.
    """
    for update in updates:
        if update.old is not None and not is_ancestor(repository, update.old, update.new):
            raise RepositoryError(f"{update.new} does not follow {update.old}: {update.ref} would lose commits")
    if remote is not None:
        push(repository, remote, updates, deadline=deadline)
    for update in updates:
        try:
            update_ref(repository, update, reason=reason)
        except RefMovedError:
            if remote is None:
                raise
            # The remote has it, and another process here may have followed as far already, or further.
            ours = repository.ref(update.ref)
            if ours is None or not is_ancestor(repository, update.new, ours):
                _follow(repository, remote, update.ref, update.new)


def write_deployment(
    repository: Repository,
    branch: ArtifactBranch,
    remote: Remote | None,
    tree: BuiltTree,
    *,
    head: ArtifactHead | None,
    subject: str,
    trailers: DeploymentTrailers,
    author: Identity | None = None,
    now: int | None = None,
    deadline: float = 300.0,
) -> str:
    """Commit `tree` as a deployment on top of `head`, the state that it was planned against; return the commit id.

    `head=None` creates the branch. Raises RefMovedError when the branch is no longer at `head`: nothing was changed.
    """
    parent = head.commit.id if head is not None else None
    message = deployment_message(subject, trailers)
    commit = write_commit(repository, tree, parent=parent, message=message, author=author, now=now)
    update = RefUpdate(ref=branch.ref, new=commit, old=parent)
    publish(repository, [update], remote, reason=f"gitopsd: deployment {trailers.deployment}", deadline=deadline)
    return commit


def _follow(repository: Repository, remote: Remote, ref: str, theirs: str | None) -> None:
    for _ in range(_FOLLOW_ATTEMPTS):
        ours = repository.ref(ref)
        if ours == theirs:
            return
        if theirs is None or (ours is not None and not is_ancestor(repository, ours, theirs)):
            raise _diverged(repository, remote, ref, ours=ours or "", theirs=theirs)
        try:
            update_ref(repository, RefUpdate(ref=ref, new=theirs, old=ours), reason=f"gitopsd: follow {remote.name}")
        except RefMovedError:
            continue
        return
    raise RepositoryError(f"{ref} keeps moving while it is brought up to {remote.identity}", "run this again")


def _diverged(repository: Repository, remote: Remote, ref: str, *, ours: str, theirs: str | None) -> DivergedError:
    if theirs is None:
        relation, way_out = "exists here and not", f"git push {remote.name} {ref}"
    elif is_ancestor(repository, theirs, ours):
        relation, way_out = "is ahead of what is", f"git push {remote.name} {ref}"
    else:
        relation, way_out = "has other commits than", f"git log --oneline {ref} ^{tracking_ref(remote, ref)} shows them"
    return DivergedError(
        f"{ref} ({ours[:12]}) {relation} on {remote.identity}; nothing was changed",
        f"{way_out}; to follow the remote instead: git update-ref -d {ref}",
    )
