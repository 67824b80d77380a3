"""Workers that left the fleet file: dropped when they were seen empty, or forgotten. No worker is reached."""

from pathlib import Path

import pytest

from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.workers.cordons import cordon_worker
from gitopsd.daemon.workers.forgetting import forget, forgettable
from gitopsd.daemon.workers.leaving import drop_seen_empty
from gitopsd.repo.artifacts import read_head
from tests.daemon.deployments import Deployments, fleet
from tests.daemon.three_machines import BRANCH, machines, record, three_machines


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    return three_machines(tmp_path / "repository")


def test_a_worker_is_forgotten_once_it_left_and_its_jobs_are_elsewhere(repository: Deployments) -> None:
    repository.deploy()
    workspace = repository.workspace()
    cordon_worker(workspace, "edge-3", reason="dead", until="", drained=False)
    own = {job for job, worker in repository.placement().items() if worker == "edge-3"}
    with pytest.raises(ControllerError, match="is a worker of fleets/production"):
        forgettable(workspace, "edge-3")
    with pytest.raises(ControllerError, match="no worker `edge-9`"):
        forgettable(workspace, "edge-9")
    repository.commit({"fleets/production.yaml": machines(1, 2)})
    with pytest.raises(ControllerError, match="aren't placed elsewhere yet"):
        forgettable(workspace, "edge-3")
    repository.deploy()
    assert record(repository, "fleet.json")["workers"]["edge-3"]["leaving"]
    chosen = forgettable(workspace, "edge-3")
    assert set(chosen.jobs) == own
    forget(workspace, chosen)
    assert record(repository, "fleet.json")["workers"].keys() == {"edge-1", "edge-2"}
    assert record(repository)["cordons"] == {}
    assert repository.repo.git("ls-tree", "--name-only", "rendered/production:workers").split() == ["edge-1", "edge-2"]
    planned = repository.plan()
    assert planned.head
    assert planned.plan.tree == planned.head.commit.tree, "the next version renders the very same"


def test_only_workers_that_left_are_dropped_when_they_are_seen_empty(repository: Deployments) -> None:
    repository.deploy()
    repository.commit({"fleets/production.yaml": machines(1)})
    repository.deploy()
    workspace = repository.workspace()
    head = read_head(workspace.repository, BRANCH)
    assert head
    assert drop_seen_empty(workspace, BRANCH, head, {"edge-1"}) == ()
    assert drop_seen_empty(workspace, BRANCH, head, {"edge-1", "edge-2"}) == ("edge-2",)
    assert record(repository, "fleet.json")["workers"].keys() == {"edge-1", "edge-3"}
    assert drop_seen_empty(workspace, BRANCH, head, {"edge-2"}) == ()
    planned = repository.plan()
    assert planned.head
    assert planned.plan.tree == planned.head.commit.tree


def test_a_worker_that_came_back_meanwhile_is_not_dropped(repository: Deployments) -> None:
    repository.deploy()
    repository.commit({"fleets/production.yaml": machines(1, 2)})
    repository.deploy()
    workspace = repository.workspace()
    head = read_head(workspace.repository, BRANCH)
    assert head
    repository.commit({"fleets/production.yaml": machines(1, 2, 3)})
    repository.deploy()
    assert drop_seen_empty(workspace, BRANCH, head, {"edge-3"}) == ()
    repository.commit({"fleets/production.yaml": machines(1, 2)})
    repository.deploy()
    assert drop_seen_empty(workspace, BRANCH, head, {"edge-3"}) == (), "and left again, with jobs that still run"
    assert "edge-3" in record(repository, "fleet.json")["workers"]


def test_a_built_in_worker_under_supervisor_is_left_to_teardown(repository: Deployments) -> None:
    repository.commit({"fleets/production.yaml": fleet("edge-1", "edge-2")})
    repository.deploy()
    repository.commit({"fleets/production.yaml": fleet("edge-1")})
    repository.deploy()
    workspace = repository.workspace()
    head = read_head(workspace.repository, BRANCH)
    assert head
    assert drop_seen_empty(workspace, BRANCH, head, {"edge-2"}) == ()
