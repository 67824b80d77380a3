"""The commit of an automatic revert, and the plans after it; no worker is reached."""

from pathlib import Path
from typing import Any

import pytest

from gitopsd.daemon.holds.pausing import pause_environment
from gitopsd.daemon.planning.plan import plan_version
from gitopsd.daemon.reverting.reverted_tree import RevertedTree, reverted_tree
from gitopsd.daemon.workers.cordons import cordon_worker
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import machines, record
from tests.daemon.two_workflows import head_of, of_workflow, revert, tree_at, two_workflows, went

BAD = {"workflows/orders.yaml": workflow("orders", 5, path="bad")}
BOTH = {**BAD, "workflows/alerts.yaml": workflow("alerts", 4, path="better")}


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Deployment 1 went well; deployment 2 changes both workflows, and `orders` fails on one worker."""
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    went(found)
    found.commit(BOTH)
    found.deploy()
    return found


def orders_failed(repository: Deployments) -> None:
    worker = repository.placement()["orders.read.0"]
    done, said = revert(repository, went(repository, failed={worker: ["orders.read.0"]}), "orders")
    assert done is not None, said


def test_the_failed_workflow_is_as_it_was_and_everything_else_as_the_new_version_has_it(
    repository: Deployments,
) -> None:
    first, second = tree_at(repository, "rendered/production~1"), tree_at(repository)
    orders_failed(repository)
    after = tree_at(repository)
    assert of_workflow(after, "orders") == of_workflow(first, "orders")
    assert of_workflow(after, "alerts") == of_workflow(second, "alerts")
    assert of_workflow(second, "orders") != of_workflow(first, "orders")
    assert of_workflow(second, "alerts") != of_workflow(first, "alerts")
    rest = {path for path in second if not path.endswith(("release.json", "control.json"))}
    rest -= {*of_workflow(second, "orders"), *of_workflow(first, "orders")}
    assert {path: after[path] for path in rest} == {path: second[path] for path in rest}
    assert repository.deployment() == 3
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    assert message.startswith("Deployment 3: orders goes back to deployment 1\n")
    assert "Trigger: auto-revert" in message
    quarantine = record(repository)["quarantines"]["orders"]
    assert (quarantine["failed"], quarantine["returns_to"]) == (2, 1)
    assert quarantine["reason"] == "deployment 2 failed: orders.read.0 died"


def test_the_same_version_is_in_place_then_and_isnt_tried_again(repository: Deployments) -> None:
    orders_failed(repository)
    planned = repository.plan()
    assert planned.plan.is_empty
    assert planned.plan.tree == head_of(repository).commit.tree
    counts = planned.plan.counts()
    assert counts == {"unchanged": 8, "held": 8}
    held = [change for change in planned.plan.changes if change.action == "held"]
    assert {change.job.partition(".")[0] for change in held} == {"orders"}
    assert {change.effect for change in held} == {"none"}
    assert "deployment 2 failed" in held[0].reason
    assert [(one.workflow, one.returns_to) for one in planned.plan.quarantined] == [("orders", 1)]


def test_a_later_version_that_compiles_it_to_the_same_holds_it_and_the_others_go_on(repository: Deployments) -> None:
    orders_failed(repository)
    before = tree_at(repository)
    same = f"# the same, written otherwise\n{repository.repo.path.joinpath('workflows/orders.yaml').read_text()}"
    repository.commit(
        {"workflows/orders.yaml": same, "workflows/alerts.yaml": workflow("alerts", 2, path="best")}, "more"
    )
    planned = repository.deploy()
    assert {change.job.partition(".")[0] for change in planned.plan.changes if change.effect != "none"} == {"alerts"}
    assert of_workflow(tree_at(repository), "orders") == of_workflow(before, "orders")
    assert of_workflow(tree_at(repository), "alerts") != of_workflow(before, "alerts")
    assert "orders" in record(repository)["quarantines"]


def test_a_version_that_compiles_it_to_something_else_ends_it_in_its_own_commit(repository: Deployments) -> None:
    orders_failed(repository)
    repository.commit({"workflows/orders.yaml": workflow("orders", 5, path="fixed")})
    planned = repository.plan()
    assert not planned.plan.quarantined
    repository.deploy()
    assert "quarantines" not in record(repository)
    assert "orders.read.4" in repository.placement()
    repository.commit(BAD, "once more")
    assert not repository.plan().plan.quarantined, "a form that was left behind may be tried anew"


def test_a_revert_of_the_source_is_in_place_already_and_ends_it_without_a_deployment(repository: Deployments) -> None:
    orders_failed(repository)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4)}, "back")
    planned = repository.deploy()
    assert planned.plan.is_empty
    assert repository.deployment() == 3
    assert "quarantines" not in record(repository)


def test_a_version_without_the_workflow_leaves_the_quarantine(repository: Deployments) -> None:
    orders_failed(repository)
    repository.repo.git("rm", "-q", "workflows/orders.yaml")
    repository.commit(message="no orders")
    repository.deploy()
    assert not any(job.startswith("orders.") for job in repository.placement())
    repository.commit(BAD, "there again")
    repository.deploy()
    assert [one.workflow for one in repository.plan().plan.quarantined] == ["orders"]
    assert "orders.read.4" not in repository.placement()


def test_a_workflow_that_never_went_well_is_taken_out(tmp_path: Path) -> None:
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    before = tree_at(found)
    worker = found.placement()["orders.read.0"]
    done, _ = revert(found, went(found, failed={worker: ["orders.read.0"]}), "orders")
    assert done is not None
    after = tree_at(found)
    assert not of_workflow(after, "orders")
    assert of_workflow(after, "alerts") == of_workflow(before, "alerts")
    assert "orders is taken out" in found.repo.git("log", "-1", "--format=%s", "rendered/production")
    planned = found.plan()
    assert planned.plan.is_empty
    assert planned.plan.tree == head_of(found).commit.tree
    assert [one.returns_to for one in planned.plan.quarantined] == [0]
    found.commit({"workflows/orders.yaml": workflow("orders", 4, path="fixed")})
    found.deploy()
    assert "orders.read.3" in found.placement()


def test_nothing_is_reverted_once_a_newer_deployment_is_there(repository: Deployments) -> None:
    head = went(repository, failed={"edge-1": []})
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 1)})
    repository.deploy()
    newest = head_of(repository)
    done, said = revert(repository, head, "orders")
    assert done is None
    assert said == ["nothing is reverted: a newer deployment came meanwhile"]
    assert head_of(repository) == newest


def test_jobs_that_left_a_drained_worker_do_not_come_back_to_it(repository: Deployments) -> None:
    before = repository.placement()
    cordon_worker(repository.workspace(), "edge-3", reason="disk", until="", drained=True)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="worse")})
    repository.deploy()
    assert "edge-3" not in repository.placement().values()
    done, _ = revert(repository, went(repository, failed={"edge-1": []}), "orders")
    assert done is not None
    after = repository.placement()
    assert "edge-3" not in after.values()
    back = {job: worker for job, worker in after.items() if job.startswith("orders.")}
    assert back
    assert back.items() <= before.items()


def test_a_cordon_that_came_meanwhile_is_kept_and_moves_nothing(repository: Deployments) -> None:
    head = went(repository, failed={"edge-1": []})
    cordon_worker(repository.workspace(), "edge-2", reason="disk", until="", drained=True)
    second = tree_at(repository)
    done, _ = revert(repository, head, "orders")
    assert done is not None
    assert record(repository)["cordons"].keys() == {"edge-2"}
    assert of_workflow(tree_at(repository), "alerts") == of_workflow(second, "alerts")


@pytest.mark.parametrize("newer", [False, True])
def test_another_writer_in_between_is_seen_and_its_commit_kept(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch, *, newer: bool
) -> None:
    head = went(repository, failed={"edge-1": []})
    raced: list[str] = []

    def after_another(*arguments: Any, **more: Any) -> RevertedTree:
        """The head has been read: another writer commits before this one does."""
        if not raced:
            if newer:
                repository.commit({"workflows/alerts.yaml": workflow("alerts", 1)})
                repository.deploy()
            else:
                cordon_worker(repository.workspace(), "edge-2", reason="disk", until="", drained=False)
            raced.append(head_of(repository).commit.id)
        return reverted_tree(*arguments, **more)

    monkeypatch.setattr("gitopsd.daemon.reverting.revert_commit.reverted_tree", after_another)
    done, said = revert(repository, head, "orders")
    if newer:
        assert done is None
        assert said == ["nothing is reverted: a newer deployment came meanwhile"]
        assert [head_of(repository).commit.id] == raced
    else:
        assert done is not None
        assert [head_of(repository).commit.parent] == raced
        assert record(repository)["cordons"].keys() == {"edge-2"}


def test_nothing_is_reverted_while_the_environment_is_paused(repository: Deployments) -> None:
    head = went(repository, failed={"edge-1": []})
    pause_environment(repository.workspace(), reason="hands off", until="")
    done, said = revert(repository, head, "orders")
    assert done is None
    assert "paused meanwhile" in said[0]
    done, said = revert(repository, head_of(repository), "orders")
    assert done is not None, "what was rolled out despite that pause goes back despite it too"


def test_what_went_well_before_with_the_same_jobs_isnt_reverted(tmp_path: Path) -> None:
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    went(found)
    found.commit({"workflows/alerts.yaml": workflow("alerts", 4)})
    found.deploy()
    head = went(found, failed={found.placement()["orders.read.0"]: ["orders.read.0"]})
    done, said = revert(found, head, "orders")
    assert done is None
    assert said == ["orders is not reverted: its jobs are those of deployment 1, which went well"]


def test_what_it_was_returned_to_isnt_reverted_once_more(repository: Deployments) -> None:
    orders_failed(repository)
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 6)})
    repository.deploy()
    head = went(repository, failed={repository.placement()["orders.read.0"]: ["orders.read.0"]})
    done, said = revert(repository, head, "orders")
    assert done is None
    assert "what failed is what it was returned to" in said[0]
    assert record(repository)["quarantines"]["orders"]["failed"] == 2


def test_both_workflows_of_a_version_may_go_back(repository: Deployments) -> None:
    first = tree_at(repository, "rendered/production~1")
    done, _ = revert(repository, went(repository, failed={"edge-1": []}), "orders", "alerts")
    assert done is not None
    after = tree_at(repository)
    ours = {path: blob for path, blob in after.items() if path.startswith(("workers/", "placement/"))}
    assert ours == {path: blob for path, blob in first.items() if path.startswith(("workers/", "placement/"))}


def test_a_job_whose_worker_left_is_not_had_back_and_the_plan_says_so(repository: Deployments) -> None:
    orders_failed(repository)
    gone = repository.placement()["orders.read.0"]
    left = [number for number in (1, 2, 3) if f"edge-{number}" != gone]
    repository.commit({"fleets/production.yaml": machines(*left)})
    planned = repository.deploy()
    deleted = {change.job: change.reason for change in planned.plan.changes if change.action == "delete"}
    assert deleted.keys() == planned.plan.quarantined[0].left_out.keys()
    assert "orders.read.0" in deleted
    assert f"rendered for `{gone}`, which is not in the fleet any more" in deleted["orders.read.0"]
    assert repository.plan().plan.is_empty
    repository.commit({"fleets/production.yaml": machines(1, 2, 3)})
    repository.deploy()
    assert repository.placement()["orders.read.0"] == gone, "it is had back once its worker is"


def test_another_runtime_restarts_held_jobs_and_changes_nothing_else(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders_failed(repository)
    before = tree_at(repository)
    files = {"launch.py": (b"# another one\n", False)}
    monkeypatch.setattr("gitopsd.daemon.planning.plan.runtime_files", lambda: files)
    planned = repository.deploy()
    assert planned.plan.counts() == {"update": 16}
    orders = [change for change in planned.plan.changes if change.job.startswith("orders.")]
    assert {change.effect for change in orders} == {"restart"}
    assert all("held as deployment 1 has it" in change.reason for change in orders)
    assert of_workflow(tree_at(repository), "orders") == of_workflow(before, "orders")
    assert repository.plan().plan.counts() == {"unchanged": 8, "held": 8}


def test_planning_is_a_function_of_what_is_committed(repository: Deployments) -> None:
    orders_failed(repository)
    one, other = repository.workspace(), repository.workspace()
    assert plan_version(one, one.source("HEAD")).plan == plan_version(other, other.source("HEAD")).plan


def test_a_job_whose_store_another_workflow_has_now_is_not_had_back(repository: Deployments) -> None:
    """Else the events of the two would mix."""
    orders_failed(repository)
    taken = {**workflow("alerts", 4), "channels": {"c": {"transport": "file-store", "path": "/mnt/orders/inside"}}}
    new = {**workflow("orders", 5, path="bad"), "channels": {"c": {"transport": "file-store", "path": "/mnt/new"}}}
    repository.commit({"workflows/alerts.yaml": taken, "workflows/orders.yaml": new})
    assert not repository.plan().plan.quarantined, "another form"
    repository.deploy()
    head = went(repository, failed={repository.placement()["orders.read.0"]: ["orders.read.0"]})
    done, said = revert(repository, head, "orders")
    assert done is not None, said
    assert not any(job.startswith("orders.") for job in repository.placement())
    planned = repository.plan()
    assert planned.plan.is_empty
    assert planned.plan.tree == head_of(repository).commit.tree
    assert set(planned.plan.quarantined[0].left_out.values()) == {
        "its store /mnt/orders lies where `alerts` has one now, /mnt/orders/inside"
    }
