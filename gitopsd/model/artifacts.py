"""What planning needs of the artifact branch's head, and what rendering puts there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct
from msgspec import field as struct_field

from gitopsd.model.amounts import Count, Seconds, Share
from gitopsd.model.names import Name
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.release import JobName

PLACEMENT_FOLDER = "placement"
WORKERS_FOLDER = "workers"
FLEET_FILE = "fleet.json"
RELEASE_FILE = "release.json"
LIBRARIES_FOLDER = "libraries"
"""In a release: what ships beside the runner for the jobs that need it, a folder each."""

CONTROL_FILE = "control.json"
POLICY_FILE = "policy.json"
FACTS_FILE = "facts.json"


class PlacedWorker(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker as `fleet.json` records it: all that converging needs, so that the source branch isn't needed for it.

    `name` is empty in the record, where it is the key. `lost_after`: seconds, 0 where it is never given up as lost.
    `draining`: jobs that are not placed on it any more and end once nothing is left for them, by name.
    """

    name: str = ""
    group: str
    connection: Literal["ssh", "local"]
    service_manager: Literal["systemd", "supervisor"]
    address: str = ""
    port: int = 22
    user: str = ""
    host_key: str = ""
    slots: int = 100
    labels: dict[str, str] = struct_field(default_factory=dict)
    features: tuple[str, ...] = ()
    mounts: dict[str, str] = struct_field(default_factory=dict)
    leaving: bool = False
    lost_after: int = 0
    draining: tuple[JobName, ...] = ()

    @property
    def machine(self) -> tuple[str, ...]:
        """What is the same for two names of one machine, as far as the fleet file tells."""
        if self.connection == "ssh":
            return ("ssh", self.address.lower(), str(self.port))
        return ("local", self.service_manager, self.name if self.service_manager == "supervisor" else "")

    def is_another_machine(self, other: "PlacedWorker") -> bool:
        """Whether two descriptions under one name mean two machines: another address with the same key is a move."""
        same_key = bool(self.host_key) and self.host_key == other.host_key
        return self.machine != other.machine and not same_key


class GroupRecord(Struct, frozen=True, kw_only=True):
    """A worker group as `fleet.json` records it: how it is rolled out to. Times in seconds; a share is text.

    `order`: groups of a lower one are rolled out to first. The defaults are for a group that has no record.
    """

    canary: Count | Share = 0
    max_parallel: Count | Share = "100%"
    min_healthy_time: Seconds = 0.0
    healthy_deadline: Seconds = 120.0
    auto_revert: bool = False
    max_failed: Count | Share = 0
    max_unreachable: Count | Share = "100%"
    confirm_timeout: Seconds = 30.0
    order: int = 0


class FleetRecord(Struct, frozen=True, kw_only=True):
    """`fleet.json`."""

    format: int = 1
    workers: dict[Name, PlacedWorker] = struct_field(default_factory=dict)
    groups: dict[Name, GroupRecord] = struct_field(default_factory=dict)


class PlacementRecord(Struct, frozen=True, kw_only=True):
    """`placement/<workflow>.json`: job -> worker, and the digest of the workflow's compiled form before placement."""

    format: int = 1
    compiled: str = ""
    jobs: dict[JobName, Name] = struct_field(default_factory=dict)


class WorkerFacts(Struct, frozen=True, kw_only=True):
    """What was found on a worker: feature -> version."""

    features: dict[str, str] = struct_field(default_factory=dict)


class LostWorker(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker that was given up as lost: it takes no jobs until it is seen again.

    `since` is a moment as `control.json` has them: of the first attempt that didn't reach it. `seen`, where that is
    known, is when it answered last.
    """

    since: str
    seen: str = ""


class FactsRecord(Struct, frozen=True, kw_only=True):
    """`facts.json`: what was found on workers, which of them were given up as lost, and which jobs have drained.

    `drained`: worker -> jobs that have ended there since the last version was rendered, which drops them.
    """

    format: int = 1
    workers: dict[Name, WorkerFacts] = struct_field(default_factory=dict)
    lost: dict[Name, LostWorker] = struct_field(default_factory=dict)
    drained: dict[Name, tuple[JobName, ...]] = struct_field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactState:
    """The committed facts that a plan depends on besides the source. Empty before the first deployment.

    `placement`: job -> worker, over all workflows. `fleet`: worker name -> worker. `cordoned`: names of workers that
    take no new jobs; `drained`: those of them that keep none either. `facts`: worker name -> probed feature -> version.
    `lost`: names of workers that were given up as lost. `policy` is None where none was published.
    """

    placement: Mapping[str, str] = field(default_factory=dict)
    fleet: Mapping[str, PlacedWorker] = field(default_factory=dict)
    cordoned: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    policy: PolicyRecord | None = None
