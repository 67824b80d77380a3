"""Workers that left the fleet file are dropped from the artifact branch, once nothing of ours runs there."""

from collections.abc import Collection, Mapping

from gitopsd.daemon.artifacts.records import RecordsEdit, commit_records
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.artifacts.without_workers import without_workers
from gitopsd.daemon.fleet_access import deployed_targets, reach_all
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import copy_verbs
from gitopsd.fleet.fanout import Failed
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead

_COPIES_SECONDS = 60.0


def drop_seen_empty(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, seen: Collection[str]
) -> tuple[str, ...]:
    """Commits that those of the workers that are leaving, and were `seen` to hold what `head` has for them, are gone.

    Gives their names; none where another deployment came meanwhile, since one may have come back with it. A built-in
    worker under supervisor stays: its supervisord still runs, and teardown ends that. Raises RepositoryError.
    """
    fleet = read_fleet(workspace.repository, head.commit.tree)
    gone = sorted(
        name
        for name in seen
        if name in fleet
        and fleet[name].leaving
        and fleet[name].service_manager == "systemd"
        and not fleet[name].draining
    )
    if not gone:
        return ()
    dropped: tuple[str, ...] = ()

    def edit(now: ArtifactHead | None) -> RecordsEdit | None:
        nonlocal dropped
        dropped = ()
        if now is None or now.deployment != head.deployment:
            return None
        known = read_fleet(workspace.repository, now.commit.tree)
        dropped = tuple(name for name in gone if name in known)
        if not dropped:
            return None
        subject = f"Left the fleet, seen empty: {', '.join(dropped)}"
        return RecordsEdit(subject=subject, files=without_workers(workspace.repository, now, dropped))

    commit_records(workspace, branch, edit)
    return dropped


def copies_that_stay(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead, seen: Collection[str]
) -> Mapping[str, tuple[str, ...]]:
    """Worker -> the unmanaged copies on it, of those that are leaving and were `seen`: they are a person's.

    Empty where one doesn't answer, since that isn't known.
    """
    fleet = read_fleet(workspace.repository, head.commit.tree)
    leaving = [name for name in seen if name in fleet and fleet[name].leaving]
    found: dict[str, tuple[str, ...]] = {}
    targets = deployed_targets(workspace, branch, head, leaving) if leaving else []
    for outcome in reach_all(workspace, targets, copy_verbs.copies, deadline=_COPIES_SECONDS):
        names = () if isinstance(outcome, Failed) else tuple(copy.name for copy in outcome.result)
        if names or isinstance(outcome, Failed):
            found[outcome.worker] = names
    return found
