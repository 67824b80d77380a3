"""Jobs that were seen to have drained, as commits: recorded, dropped by the next version, and never too early."""

import json
from pathlib import Path
from typing import Any

import pytest

from gitopsd.daemon.rollout.drained import note_drained
from gitopsd.repo.artifacts import ArtifactHead, read_head
from tests.daemon.deployments import Deployments, deployments
from tests.daemon.three_machines import BRANCH, record
from tests.planner.sources import WORKER, Steps, machine, reads, source, store, writes

STORES = {"rows": store(), "others": store("/srv/others")}
BASE: Steps = {"read": reads(), "write": writes()}
ALL: Steps = {**BASE, "more": reads("others"), "keep": writes("others", "/srv/keep", replicas=2)}
KEPT = ("orders.keep.0", "orders.keep.1")


def version(steps: Steps, channels: dict[str, Any]) -> dict[str, Any]:
    return {path: json.loads(data) for path, data in source(steps, channels, {"edge-1": machine(1)}).items()}


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Two jobs drain on edge-1."""
    found = deployments(tmp_path / "repository")
    found.commit(version(ALL, STORES))
    found.deploy()
    found.commit(version(BASE, {"rows": STORES["rows"]}))
    found.deploy()
    assert draining(found) == list(KEPT)
    return found


def draining(repository: Deployments) -> list[str]:
    return list(record(repository, "fleet.json")["workers"]["edge-1"].get("draining", []))


def head_of(repository: Deployments) -> ArtifactHead:
    head = read_head(repository.workspace().repository, BRANCH)
    assert head is not None
    return head


def note(repository: Deployments, *jobs: str, head: ArtifactHead | None = None) -> dict[str, tuple[str, ...]]:
    return dict(note_drained(repository.workspace(), BRANCH, head or head_of(repository), {"edge-1": jobs}))


def test_the_jobs_of_a_workflow_are_recorded_together_once_the_last_has_ended(repository: Deployments) -> None:
    assert repository.plan().plan.is_empty
    assert note(repository, KEPT[0]) == {}
    assert note(repository, *KEPT) == {"edge-1": KEPT}
    assert note(repository, *KEPT) == {}, "it is known"
    assert record(repository, "facts.json")["drained"] == {"edge-1": list(KEPT)}
    changes = [change for change in repository.plan().plan.changes if change.action != "unchanged"]
    assert {change.job: (change.action, change.effect) for change in changes} == dict.fromkeys(KEPT, ("delete", "none"))
    repository.deploy()
    assert draining(repository) == []
    assert record(repository, "facts.json")["drained"] == {}
    assert repository.plan().plan.is_empty


def test_only_what_drains_at_the_head_can_have_drained(repository: Deployments) -> None:
    before = head_of(repository)
    assert note(repository, "orders.write.0") == {}
    repository.commit(version({**BASE, "write": writes(path="/srv/new")}, {"rows": STORES["rows"]}))
    repository.deploy()
    assert note(repository, *KEPT, head=before) == {}, "another deployment came meanwhile"
    assert note(repository, *KEPT) == {"edge-1": KEPT}


def test_what_drains_again_begins_anew(repository: Deployments) -> None:
    note(repository, *KEPT)
    repository.deploy()
    repository.commit(version(ALL, STORES))
    repository.deploy()
    repository.commit(version(BASE, {"rows": WORKER}))
    repository.deploy()
    assert draining(repository) == [*KEPT, "orders.write-was.0"]
