"""Workers that left the fleet file are dropped from the artifact branch, once nothing of ours runs there."""

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from gitopsd.daemon.artifact_state import read_control, read_facts, read_fleet, read_groups
from gitopsd.daemon.control import control_file
from gitopsd.daemon.fleet_access import deployed_targets, reach_all
from gitopsd.daemon.records import RecordsEdit, commit_records, record_file
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import copy_verbs
from gitopsd.fleet.fanout import Failed
from gitopsd.model.artifacts import CONTROL_FILE, FACTS_FILE, FLEET_FILE, WORKERS_FOLDER, FleetRecord
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_file
from gitopsd.repo.repository import Repository

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


def without_workers(repository: Repository, head: ArtifactHead, names: Collection[str]) -> Mapping[str, bytes | None]:
    """The files of the artifact branch without these workers, for an edit: fleet, releases, facts and cordons."""
    tree = head.commit.tree
    fleet = read_fleet(repository, tree)
    kept = {name: replace(worker, name="") for name, worker in fleet.items() if name not in names}
    files: dict[str, bytes | None] = {
        FLEET_FILE: record_file(FleetRecord(workers=kept, groups=read_groups(repository, tree)))
    }
    files |= {f"{WORKERS_FOLDER}/{name}": None for name in names}
    facts = read_facts(repository, tree)
    if (facts.workers.keys() | facts.lost.keys()) & set(names):
        known = {name: found for name, found in facts.workers.items() if name not in names}
        lost = {name: one for name, one in facts.lost.items() if name not in names}
        files[FACTS_FILE] = record_file(replace(facts, workers=known, lost=lost))
    control = read_control(repository, tree)
    if control.cordons.keys() & set(names):
        cordons = {name: cordon for name, cordon in control.cordons.items() if name not in names}
        present = read_file(repository, tree, CONTROL_FILE)
        files[CONTROL_FILE] = control_file(present, replace(control, cordons=cordons))
    return files
