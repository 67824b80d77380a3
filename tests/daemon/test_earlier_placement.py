"""What was deployed before goes back to where it was then."""

import random
from pathlib import Path

import pytest

from gitopsd.daemon import earlier_placement as module
from gitopsd.daemon.earlier_placement import earlier_placement
from gitopsd.repo.artifacts import artifact_branch, read_head
from gitopsd.repo.repository import open_at
from tests.daemon.deployments import Deployments, deployments, environments, fleet, workflow
from tests.repo.gitrepo import deploy

START = {
    "gitopsd.yaml": environments(production=""),
    "fleets/production.yaml": fleet("edge-1", "edge-2", "edge-3"),
    "workflows/orders.yaml": workflow("orders", 4),
    "workflows/alerts.yaml": workflow("alerts", 3),
}


@pytest.fixture
def fleet_repository(tmp_path: Path) -> Deployments:
    made = deployments(tmp_path / "fleet")
    made.commit(START)
    return made


def test_a_revert_of_the_source_brings_every_job_back_to_where_it_was(fleet_repository: Deployments) -> None:
    fleet_repository.deploy()
    first = fleet_repository.placement()
    fleet_repository.commit({
        "fleets/production.yaml": fleet("edge-3", "edge-4", "edge-5"),  # edge-1 and edge-2 leave, so that jobs move
        "workflows/orders.yaml": workflow("orders", 6, path="elsewhere"),
    })  # fmt: skip
    fleet_repository.deploy()
    second = fleet_repository.placement()
    gone = {job: worker for job, worker in second.items() if first.get(job, worker) != worker}
    assert gone
    fleet_repository.repo.git("revert", "--no-edit", "HEAD")
    planned = fleet_repository.plan()
    assert {change.job: change.moved_from for change in planned.plan.changes if change.action == "move"} == gone
    fleet_repository.deploy()
    assert fleet_repository.placement() == first
    assert fleet_repository.deployment() == 3
    assert fleet_repository.plan().plan.is_empty


@pytest.mark.parametrize("seed", range(6))
def test_whatever_came_in_between_the_same_tree_has_the_same_placement_again(tmp_path: Path, seed: int) -> None:
    mixed = random.Random(seed)  # noqa: S311 - orders that can be had again
    made = deployments(tmp_path / "fleet")
    workers = [f"edge-{number}" for number in range(1, 7)]
    seen: dict[str, dict[str, str]] = {}
    versions = []
    for number in range(3):
        held = sorted(mixed.sample(workers, mixed.randint(1, 6)))
        flows = {f"workflows/{name}.yaml": workflow(name, mixed.randint(1, 7)) for name in ("orders", "alerts")}
        versions.append(made.commit({**START, "fleets/production.yaml": fleet(*held), **flows}, f"version {number}"))
    for version in mixed.choices(versions, k=7):
        made.deploy(revision=version)
        placement = made.placement()
        assert seen.setdefault(version, placement) == placement


def test_the_newest_deployment_of_a_tree_counts(tmp_path: Path) -> None:
    made = deployments(tmp_path / "fleet")
    first = made.commit(START)
    made.deploy()
    repository = made.workspace().repository
    head = read_head(repository, artifact_branch("production"))
    source_tree = made.plan(revision=first).plan.inputs.source_tree
    assert earlier_placement(repository, None, source_tree) is None  # nothing deployed yet
    assert earlier_placement(repository, head, source_tree) is None  # that very tree is deployed
    assert earlier_placement(repository, head, "f" * 40) is None  # never seen
    made.commit({"workflows/orders.yaml": workflow("orders", 1)})
    made.deploy()
    head = read_head(open_at(made.repo.path), artifact_branch("production"))
    assert len(earlier_placement(repository, head, source_tree) or {}) == 14


def test_deployments_that_never_named_their_source_tree_are_passed_over(
    fleet_repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_repository.deploy()
    first = fleet_repository.plan().plan.inputs.source_tree
    placement = fleet_repository.placement()
    repository = fleet_repository.workspace().repository
    branch = artifact_branch("production")
    for number in range(2, 9):
        deploy(repository, branch, number)
    assert earlier_placement(repository, read_head(repository, branch), first) == placement
    monkeypatch.setattr(module, "_FARTHEST", 6)
    assert earlier_placement(repository, read_head(repository, branch), first) is None
