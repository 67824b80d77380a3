"""The artifact branch without some of its workers."""

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from gitopsd.daemon.artifacts.control import control_file
from gitopsd.daemon.artifacts.records import record_file
from gitopsd.daemon.artifacts.state import read_control, read_facts, read_fleet, read_groups
from gitopsd.model.artifacts import CONTROL_FILE, FACTS_FILE, FLEET_FILE, WORKERS_FOLDER, FleetRecord
from gitopsd.repo.artifacts import ArtifactHead, read_file
from gitopsd.repo.repository import Repository


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
