"""What was deployed before goes back to where it was then."""

import random
from pathlib import Path

import pytest

from gitopsd.daemon.planning import earlier_placement as module
from gitopsd.model.trees import Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import artifact_branch, list_folder, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.refs import RefUpdate, update_ref
from tests.daemon.deployments import Deployments, deployments, environments, fleet, workflow

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


def test_a_version_that_changed_nothing_here_does_not_stand_in_the_way(fleet_repository: Deployments) -> None:
    """As a comment does, or an edit for another environment."""
    fleet_repository.deploy()
    first = fleet_repository.placement()
    fleet_repository.commit({"gitopsd.yaml": environments(production="", staging="")}, "another environment")
    fleet_repository.deploy("production")
    fleet_repository.commit({"fleets/production.yaml": fleet("edge-3", "edge-4")})
    fleet_repository.deploy("production")
    assert fleet_repository.placement() != first
    fleet_repository.repo.git("revert", "--no-edit", "HEAD")
    fleet_repository.deploy("production")
    assert fleet_repository.placement() == first


def test_one_workflow_goes_back_while_others_went_on(fleet_repository: Deployments) -> None:
    fleet_repository.deploy()
    first = {job: worker for job, worker in fleet_repository.placement().items() if job.startswith("orders.")}
    fleet_repository.commit({"workflows/orders.yaml": {**workflow("orders", 4), "steps": {}, "channels": {}}})
    fleet_repository.write({"workflows/orders.yaml": workflow("orders", 1)})
    fleet_repository.commit(message="fewer")
    fleet_repository.deploy()
    fleet_repository.commit({"workflows/alerts.yaml": workflow("alerts", 9, path="elsewhere")})
    fleet_repository.deploy()
    fleet_repository.commit({"workflows/orders.yaml": workflow("orders", 4)})
    fleet_repository.deploy()
    now = fleet_repository.placement()
    assert {job: now[job] for job in first} == first


def test_nothing_goes_back_to_a_cordoned_worker(fleet_repository: Deployments) -> None:
    fleet_repository.deploy()
    first = fleet_repository.placement()
    fleet_repository.repo.git("rm", "-q", "workflows/alerts.yaml")
    fleet_repository.commit(message="no alerts")
    fleet_repository.deploy()
    repository = fleet_repository.workspace().repository
    branch = artifact_branch("production")
    head = read_head(repository, branch)
    assert head is not None
    top = list_folder(repository, head.commit.tree)
    control = TreeFile(b'{"cordons": {"edge-1": {"owner": "Ada", "reason": "x", "since": "2026-01-01T00:00:00Z"}}}')
    tree = build_tree(
        {**{name: Graft(id=entry.id, mode=entry.mode) for name, entry in top.items()}, "control.json": control}
    )
    commit = write_commit(repository, tree, parent=head.commit.id, message="Cordon edge-1")
    update_ref(repository, RefUpdate(ref=branch.ref, new=commit, old=head.commit.id), reason="test")
    fleet_repository.repo.git("revert", "--no-edit", "HEAD")
    fleet_repository.deploy()
    now = fleet_repository.placement()
    returned = [job for job in first if job.startswith("alerts.")]
    assert "edge-1" in {first[job] for job in returned}
    assert "edge-1" not in {now[job] for job in returned}
    assert all(now[job] == first[job] for job in returned if first[job] != "edge-1")


def test_only_so_many_commits_are_looked_at(fleet_repository: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet_repository.deploy()
    first = fleet_repository.placement()
    fleet_repository.commit({"fleets/production.yaml": fleet("edge-3", "edge-4")})
    fleet_repository.deploy()
    for number in range(3, 9):
        fleet_repository.commit({"workflows/alerts.yaml": workflow("alerts", 3, path=f"way-{number}")})
        fleet_repository.deploy()
    fleet_repository.commit(START)
    monkeypatch.setattr(module, "_FARTHEST", 4)
    monkeypatch.setattr(module, "_FARTHEST_FOR_ONE", 4)
    fleet_repository.deploy()
    assert fleet_repository.placement() != first
