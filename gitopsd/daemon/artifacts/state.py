"""The artifact branch's head as planning sees it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gitopsd.daemon.artifacts.records import record_file
from gitopsd.daemon.configuration.policy import policy_file
from gitopsd.model.artifacts import (
    CONTROL_FILE,
    FACTS_FILE,
    FLEET_FILE,
    PLACEMENT_FOLDER,
    POLICY_FILE,
    WORKERS_FOLDER,
    ArtifactState,
    FactsRecord,
    FleetRecord,
    GroupRecord,
    PlacedWorker,
    PlacementRecord,
)
from gitopsd.model.control import ControlRecord
from gitopsd.model.memory import Forgetful, Memory, memory_key
from gitopsd.model.names import NAME_PATTERN
from gitopsd.model.not_json import NOT_JSON
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import TREE, Graft, TreeEntry, TreeFile, object_id
from gitopsd.repo.artifacts import ArtifactHead, find_entry, list_files, list_folder, read_file
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

KEPT_FILES = (CONTROL_FILE, POLICY_FILE, FACTS_FILE)
"""Parts of the artifact branch that commands own: rendering puts them back as they are."""

T = TypeVar("T")

_NOTHING = Forgetful()

_LARGEST_FILE = 32 << 20
"""Bytes: twice what a file of the source branch may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedReleases:
    """A ReleaseReader and HeadTrees over one tree of the artifact branch; without a tree there are no releases."""

    repository: Repository
    tree: str | None

    def release_ids(self) -> Mapping[str, str]:
        if self.tree is None:
            return {}
        releases = list_folder(self.repository, self.tree, WORKERS_FOLDER)
        for name, entry in releases.items():
            if entry.mode != TREE or re.match(NAME_PATTERN, name) is None:
                raise RepositoryError(
                    f"{WORKERS_FOLDER}/ on the artifact branch holds {name!r}, which is no release of a worker",
                    "`git log` of that branch says who changed it",
                )
        return {name: entry.id for name, entry in releases.items()}

    def files(self, release: str) -> Mapping[str, TreeEntry]:
        return list_files(self.repository, release)

    def folder(self, release: str, name: str) -> Mapping[str, TreeEntry]:
        return list_folder(self.repository, release, name)

    def blob(self, blob_id: str) -> bytes:
        size = self.repository.blob_size(blob_id)
        if size > _LARGEST_FILE:
            raise RepositoryError(
                f"a file of a release on the artifact branch has {size:,} bytes; the limit is {_LARGEST_FILE:,}",
                "`git log` of that branch says who changed it",
            )
        return self.repository.read(blob_id, "blob")


def read_state(
    repository: Repository,
    head: ArtifactHead | None,
    policy: PolicyRecord | None = None,
    memory: Memory = _NOTHING,
    *,
    facts: FactsRecord | None = None,
) -> ArtifactState:
    """What planning needs of the head, with the operator's own policy where there is one, and with `facts` where they
    are to be others.

    Raises RepositoryError for records that can't be read.
    """
    if head is None:
        return ArtifactState(policy=policy)
    tree = head.commit.tree
    control = read_control(repository, tree)
    facts = facts or read_facts(repository, tree)
    return ArtifactState(
        placement=read_placement(repository, tree, memory),
        fleet=read_fleet(repository, tree),
        cordoned=frozenset(control.cordons),
        drained=control.drained,
        facts={name: found.features for name, found in facts.workers.items()},
        lost=frozenset(facts.lost),
        policy=policy or committed_policy(repository, tree),
    )


class _Placement(Struct, frozen=True):
    """Remembered of a `placement/` folder."""

    jobs: dict[str, str]


def read_placement(repository: Repository, tree: str, memory: Memory = _NOTHING) -> Mapping[str, str]:
    """Job -> worker, over all workflows, as a tree of the artifact branch has it."""
    folder = find_entry(repository, tree, PLACEMENT_FOLDER)
    key = memory_key("placement", folder.id if folder else "")
    known = memory.recall(key, _Placement)
    if known is not None:
        return known.jobs
    placement: dict[str, str] = {}
    for name, entry in list_folder(repository, tree, PLACEMENT_FOLDER).items():
        placement |= read_placement_record(repository, entry.id, name.removesuffix(".json")).jobs
    memory.keep(key, _Placement(placement))
    return placement


def read_placement_record(repository: Repository, blob: str, workflow: str) -> PlacementRecord:
    """`placement/<workflow>.json`, by its blob id. Raises RepositoryError."""
    return _record(repository.read(blob, "blob"), PlacementRecord, f"{PLACEMENT_FOLDER}/{workflow}.json")


def read_facts(repository: Repository, tree: str) -> FactsRecord:
    """What was found on the workers, as a tree of the artifact branch has it."""
    return _record(_record_file(repository, tree, FACTS_FILE), FactsRecord, FACTS_FILE)


def read_control(repository: Repository, tree: str) -> ControlRecord:
    """What was decided, as a tree of the artifact branch has them."""
    return _record(_record_file(repository, tree, CONTROL_FILE), ControlRecord, CONTROL_FILE)


def read_fleet(repository: Repository, tree: str) -> dict[str, PlacedWorker]:
    """The workers that a tree of the artifact branch has releases for, by name."""
    fleet = _record(_record_file(repository, tree, FLEET_FILE), FleetRecord, FLEET_FILE)
    return {name: replace(worker, name=name) for name, worker in fleet.workers.items()}


def read_groups(repository: Repository, tree: str) -> dict[str, GroupRecord]:
    """The worker groups of a tree of the artifact branch, by name; none where an earlier gitopsd wrote it."""
    return _record(_record_file(repository, tree, FLEET_FILE), FleetRecord, FLEET_FILE).groups


def kept_parts(
    repository: Repository,
    head: ArtifactHead | None,
    policy: PolicyRecord | None = None,
    facts: FactsRecord | None = None,
) -> dict[str, Graft | TreeFile]:
    """The parts of the artifact branch that rendering puts back: as they are, but for the operator's own policy, and
    for facts that are committed together with what follows from them.
    """
    top = list_folder(repository, head.commit.tree) if head else {}
    kept: dict[str, Graft | TreeFile] = {
        name: Graft(id=top[name].id, mode=top[name].mode) for name in KEPT_FILES if name in top
    }
    if facts is not None:
        kept[FACTS_FILE] = TreeFile(record_file(facts))
    return kept if policy is None else {**kept, POLICY_FILE: TreeFile(policy_file(policy))}


def policy_id(kept: Mapping[str, Graft | TreeFile]) -> str:
    """The id of the `policy.json` that is planned with; empty where there is none."""
    match kept.get(POLICY_FILE):
        case Graft(id=known):
            return known
        case TreeFile(data=data):
            return object_id("blob", data)
        case None:
            return ""


def committed_policy(repository: Repository, tree: str) -> PolicyRecord | None:
    """The policy that was published, as a tree of the artifact branch has it; None where none was."""
    content = _record_file(repository, tree, POLICY_FILE)
    return None if content is None else _record(content, PolicyRecord, POLICY_FILE)


def _record_file(repository: Repository, tree: str, path: str) -> bytes | None:
    """None where there is no such record. What is no file is refused: it must not pass for an empty one."""
    content = read_file(repository, tree, path)
    if content is None and find_entry(repository, tree, path) is not None:
        raise RepositoryError(
            f"{path} on the artifact branch is not a file", "`git log` of that branch says who changed it"
        )
    return content


def _record(content: bytes | None, kind: type[T], path: str) -> T:
    """A record of the artifact branch; one that isn't there is empty."""
    try:
        return msgspec.json.decode(content or b"{}", type=kind)
    except NOT_JSON as error:
        raise RepositoryError(
            f"{path} on the artifact branch can't be read: {error}", "`git log` of that branch says who changed it"
        ) from None
