"""The artifact branch's head as planning sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from gitopsd.model.artifacts import (
    CONTROL_FILE,
    FLEET_FILE,
    PLACEMENT_FOLDER,
    WORKERS_FOLDER,
    ArtifactState,
    ControlRecord,
    FleetRecord,
    PlacedWorker,
    PlacementRecord,
)
from gitopsd.model.trees import Graft, TreeEntry
from gitopsd.repo.artifacts import ArtifactHead, list_files, list_folder, read_file
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

KEPT_FILES = (CONTROL_FILE, "policy.json", "facts.json")
"""Parts of the artifact branch that commands own: rendering puts them back as they are."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedReleases:
    """A ReleaseReader over one tree of the artifact branch; without a tree there are no releases."""

    repository: Repository
    tree: str | None

    def release_ids(self) -> Mapping[str, str]:
        if self.tree is None:
            return {}
        return {name: entry.id for name, entry in list_folder(self.repository, self.tree, WORKERS_FOLDER).items()}

    def files(self, release: str) -> Mapping[str, TreeEntry]:
        return list_files(self.repository, release)

    def blob(self, blob_id: str) -> bytes:
        return self.repository.read(blob_id, "blob")


def read_state(repository: Repository, head: ArtifactHead | None) -> ArtifactState:
    """What planning needs of the head. Raises RepositoryError for records that can't be read."""
    if head is None:
        return ArtifactState()
    tree = head.commit.tree
    placement: dict[str, str] = {}
    for name, entry in list_folder(repository, tree, PLACEMENT_FOLDER).items():
        content = repository.read(entry.id, "blob")
        placement |= _record(content, PlacementRecord, f"{PLACEMENT_FOLDER}/{name}").jobs
    control = _record(read_file(repository, tree, CONTROL_FILE), ControlRecord, CONTROL_FILE)
    return ArtifactState(
        placement=placement,
        fleet=read_fleet(repository, tree),
        cordoned=frozenset(control.cordons),
    )


def read_fleet(repository: Repository, tree: str) -> dict[str, PlacedWorker]:
    """The workers that a tree of the artifact branch has releases for, by name."""
    fleet = _record(read_file(repository, tree, FLEET_FILE), FleetRecord, FLEET_FILE)
    return {name: replace(worker, name=name) for name, worker in fleet.workers.items()}


def kept_parts(repository: Repository, head: ArtifactHead | None) -> dict[str, Graft]:
    if head is None:
        return {}
    top = list_folder(repository, head.commit.tree)
    return {name: Graft(id=top[name].id, mode=top[name].mode) for name in KEPT_FILES if name in top}


def _record(content: bytes | None, kind: type[T], path: str) -> T:
    """A record of the artifact branch; one that isn't there is empty."""
    try:
        return msgspec.json.decode(content or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise RepositoryError(
            f"{path} on the artifact branch can't be read: {error}", "`git log` of that branch says who changed it"
        ) from None
