"""What ships beside the runner, through a revert, an upgrade of it, and the plans after them."""

from pathlib import Path

import pytest

from gitopsd.daemon.holds import upgrade
from gitopsd.daemon.planning import plan as planning
from gitopsd.daemon.planning.shipped import library
from gitopsd.model.trees import BuiltTree, build_tree
from gitopsd.runner.bundle import library_files
from tests.daemon.deployments import Deployments, fleet, workflow
from tests.daemon.two_workflows import Tree, head_of, of_workflow, revert, tree_at, two_workflows, went

EDGE = fleet("edge-1", "edge-2", "edge-3")["groups"]["edge"]
OVER_NATS = {
    "workflows/orders.yaml": {**workflow("orders", 4), "channels": {"c": {"transport": "nats"}}},
    "fleets/production.yaml": {"groups": {"edge": {**EDGE, "rollout": {"drain": "0s"}}}},
}


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Deployment 1, with `orders` over nats, went well."""
    found = two_workflows(tmp_path / "repository")
    found.commit(OVER_NATS, "over nats")
    found.deploy()
    went(found)
    return found


def shipped(tree: Tree) -> set[str]:
    """The releases with the library in them."""
    return {path.split("/")[1] for path in tree if "/libraries/nats/" in path}


def test_a_release_that_returns_to_nats_has_the_library_again(repository: Deployments) -> None:
    before = tree_at(repository)
    assert shipped(before)
    repository.commit({"workflows/orders.yaml": workflow("orders", 5, path="bad")})
    repository.deploy()
    assert not shipped(tree_at(repository))
    worker = repository.placement()["orders.read.0"]
    done, said = revert(repository, went(repository, failed={worker: ["orders.read.0"]}), "orders")
    assert done is not None, said
    after = tree_at(repository)
    assert shipped(after) == shipped(before)
    assert of_workflow(after, "orders") == of_workflow(before, "orders")
    planned = repository.plan()
    assert planned.plan.is_empty
    assert planned.plan.tree == head_of(repository).commit.tree


def test_another_version_of_a_library_restarts_its_jobs_and_no_others(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = build_tree({**library_files("nats"), "nats/more.py": (b"", False)})

    def another(name: str) -> BuiltTree:
        return newer if name == "nats" else library(name)

    monkeypatch.setattr(planning, "library", another)
    monkeypatch.setattr(upgrade, "library", another)
    planned = repository.deploy()
    restarted = {change.job for change in planned.plan.changes if change.effect == "restart"}
    assert {job.partition(".")[0] for job in restarted} == {"orders"}
    reasons = {change.reason for change in planned.plan.changes if change.effect == "restart"}
    assert all("nats" in reason and "which comes with gitopsd" in reason for reason in reasons), reasons
    assert repository.plan().plan.is_empty
