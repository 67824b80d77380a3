"""Which deployment went well for a workflow, by the notes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.history.completed import Record
from gitopsd.daemon.history.rollout_note import failed_last, read_rollouts, record_rollout
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import BRANCH
from tests.daemon.two_workflows import head_of, two_workflows, went


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    return found


def completed(repository: Deployments, name: str = "orders") -> list[int]:
    record = Record(repository.workspace().repository, BRANCH, head_of(repository))
    return [one.number for one in record.completed(name)]


def change(repository: Deployments, name: str, path: str) -> None:
    repository.commit({f"workflows/{name}.yaml": workflow(name, 4, path=path)})
    repository.deploy()


def test_what_nobody_saw_is_not_completed(repository: Deployments) -> None:
    assert completed(repository) == []
    went(repository)
    assert completed(repository) == [1]
    assert completed(repository, "unknown") == []


def test_a_failed_job_counts_against_its_own_workflow_alone(repository: Deployments) -> None:
    worker = repository.placement()["orders.read.0"]
    went(repository, failed={worker: ["orders.read.0"]})
    assert completed(repository, "orders") == []
    assert completed(repository, "alerts") == [1]


def test_a_worker_that_failed_as_a_whole_counts_against_all_that_it_has(repository: Deployments) -> None:
    went(repository, failed={repository.placement()["orders.read.0"]: []})
    assert completed(repository, "orders") == []


def test_a_worker_out_of_reach_counts_against_all_that_it_has_until_it_was_seen_well(repository: Deployments) -> None:
    went(repository, away=["edge-1"])
    assert completed(repository) == []
    went(repository, only=["edge-1"])
    assert completed(repository) == [1]


def test_the_last_that_was_seen_counts(repository: Deployments) -> None:
    went(repository)
    went(repository, failed={repository.placement()["orders.read.0"]: ["orders.read.0"]})
    assert completed(repository) == []


def test_the_newest_comes_first_and_those_that_failed_are_passed_over(repository: Deployments) -> None:
    went(repository)
    change(repository, "orders", "second")
    went(repository)
    change(repository, "orders", "third")
    went(repository, failed={"edge-1": [], "edge-2": [], "edge-3": []})
    assert completed(repository) == [2, 1]


def test_what_was_seen_of_a_release_counts_as_long_as_the_release_is_the_same(repository: Deployments) -> None:
    """As after an automatic revert, which comes to the workers that it changes and to no others."""
    went(repository)
    before = repository.placement()
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 1, path="one")})
    planned = repository.deploy()
    touched = planned.plan.changed_workers
    untouched = {worker for job, worker in before.items() if worker not in touched}
    went(repository, only=list(touched))
    assert completed(repository) == [2, 1], untouched
    change(repository, "orders", "second")
    went(repository, only=["edge-1"])
    assert completed(repository) == [2, 1], "its release on edge-2 and edge-3 was never seen"


def test_a_release_that_no_rollout_has_seen_to_its_end_on_a_worker_is_unproven_there(repository: Deployments) -> None:
    def unproven() -> set[str]:
        record = Record(repository.workspace().repository, BRANCH, head_of(repository))
        return set(record.unproven(["edge-1", "edge-2", "edge-3"]))

    assert unproven() == {"edge-1", "edge-2", "edge-3"}
    went(repository, only=["edge-1"], failed={"edge-1": ["orders.read.0"]})
    assert unproven() == {"edge-2", "edge-3"}, "how it ended is another question"
    went(repository)
    assert unproven() == set()
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 1, path="one")})
    changed = set(repository.deploy().plan.changed_workers)
    assert unproven() == changed, "the others have the release of the deployment before"
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="two")})
    changed |= set(repository.deploy().plan.changed_workers)
    assert unproven() == changed
    head, workspace = head_of(repository), repository.workspace()
    ended = Rollout(not_attempted=("edge-2",), unfinished=("edge-1", "edge-3"), interrupted=True)
    names, now = ["edge-1", "edge-2", "edge-3"], datetime.now(UTC)
    record_rollout(workspace, BRANCH, head, ended, names, started=now, overwritten={})
    assert unproven() == changed, "nobody waited for it"


def test_what_became_of_a_worker_is_known_however_often_others_were_tried_since(repository: Deployments) -> None:
    went(repository)
    for _ in range(25):  # the one is tried again and again, and the others are left out meanwhile
        went(repository, only=["edge-1"], away=["edge-1"])
        went(repository, only=["edge-1"])
    assert completed(repository) == [1]


def test_a_canary_that_failed_stays_failed_however_often_others_were_looked_at_since(repository: Deployments) -> None:
    head = head_of(repository)
    workspace = repository.workspace()
    canary = WorkerResult(worker="edge-1", state="failed", error="it died")

    def record(rollout: Rollout, *workers: str) -> None:
        record_rollout(
            workspace, BRANCH, head, rollout, workers, started=datetime.now(UTC), overwritten={}, all_workers=False
        )

    record(Rollout(results=(canary,), not_attempted=("edge-2", "edge-3"), failed=("edge-1",)), "edge-1", "edge-2")
    for _ in range(25):  # `reconcile`, while the canary is left out
        record(Rollout(not_attempted=("edge-2", "edge-3")), "edge-2", "edge-3")
    assert failed_last(workspace.repository, BRANCH, head) == {"edge-1"}
    assert head.deployment is not None
    assert len(read_rollouts(workspace.repository, BRANCH, head.deployment).rollouts) == 21
    record(Rollout(results=(WorkerResult(worker="edge-1", state="converged"),)), "edge-1")
    assert failed_last(workspace.repository, BRANCH, head) == frozenset()
