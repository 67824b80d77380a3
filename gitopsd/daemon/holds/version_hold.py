"""An environment that is held at one version: whatever deploys by itself deploys that, not the source branch's head."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.daemon.artifacts.control import KnownHold, change_control, known_hold, moment, owner_of
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.asked import Asked
from gitopsd.daemon.holds.holds import HeldError, Hold
from gitopsd.daemon.planning.plan import branch_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import ControlRecord, VersionHold
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import is_ancestor
from gitopsd.repo.source import SourceTree


class NotTheHeadError(ControllerError):
    """A version was named that the source branch isn't at, without saying why the environment is to stay at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is to be deployed; `held` says that it isn't what the source branch asks for."""

    source: SourceTree
    held: bool = False


def chosen_version(workspace: Workspace, read_source: Callable[[], SourceTree], asked: Asked) -> Chosen:
    """What `read_source` reads; what the environment is held at, where no person asked.

    By the artifact branch as it is known here. Raises DiagnosticsError, RepositoryError.
    """
    source = read_source()
    if asked.by_person:
        return Chosen(source=source)
    hold = hold_in_force(workspace.repository, read_head(workspace.repository, branch_of(workspace, source)))
    if hold is None or hold.commit == source.commit:
        return Chosen(source=source)
    return Chosen(source=read_commit(workspace.repository, hold.commit), held=True)


def hold_in_force(repository: Repository, head: ArtifactHead | None) -> KnownHold | None:
    """The hold that isn't over by the clock."""
    hold = known_hold(repository, head)
    return None if hold is None or hold.expired else hold


def require_hold(
    workspace: Workspace,
    commit: str,
    head: ArtifactHead | None,
    holds: Collection[Hold],
    asked: Asked,
    *,
    named: bool,
) -> None:
    """Raises HeldError where a person is about to deploy what a hold keeps away, NotTheHeadError what would not stay.

    That is another version than the source branch's head, or one older than the deployed one in a clone that is behind,
    unless it is to be kept.
    """
    if not asked.by_person or asked.keep_at is not None:
        return
    hold = next((one for one in holds if one.kind == "hold"), None)
    if hold is not None:
        if hold.commit != commit:
            raise HeldError(hold)
        return
    why = _why_it_would_not_stay(workspace, commit, head) if named else ""
    if why:
        raise NotTheHeadError(
            f"{commit[:12]} is {why}, so the next deployment would undo it",
            f"`gitopsd apply {commit[:12]} --hold REASON` keeps the environment at it until `gitopsd resume`; "
            "`gitopsd rollback` writes a revert instead",
        )


def _why_it_would_not_stay(workspace: Workspace, commit: str, head: ArtifactHead | None) -> str:
    newest = head_of_source(workspace)
    if newest is not None and newest != commit:
        return f"not the head of the source branch ({newest[:12]})"
    trailers = head.deployment.trailers if head and head.deployment else None
    if trailers is None or trailers.source_commit == commit or not workspace.repository.has(trailers.source_commit):
        return ""
    if is_ancestor(workspace.repository, commit, trailers.source_commit):
        return f"older than {trailers.source_commit[:12]}, which deployment {trailers.deployment} came from"
    return ""


def keep_at(workspace: Workspace, branch: ArtifactBranch, commit: str, asked: Asked) -> str:
    """Commits that the environment stays at the version; gives the commit, empty where that is so already."""
    if asked.keep_at is None:
        return ""
    wanted = VersionHold(
        owner=owner_of(workspace),
        reason=asked.keep_at.reason,
        since=moment(),
        until=asked.keep_at.until,
        commit=commit,
    )

    def change(record: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:
        del head
        before = record.hold
        same = before is not None and replace(before, since=wanted.since) == wanted
        return f"Hold at {commit[:12]}: {wanted.reason}", record if same else replace(record, hold=wanted)

    return change_control(workspace, branch, change)


def head_of_source(workspace: Workspace) -> str | None:
    """The commit that the source branch is at; None where there is no such branch, on a detached HEAD say: then nothing
    here follows one.
    """
    try:
        return workspace.source_of_commit().commit
    except RepositoryError:
        return None
