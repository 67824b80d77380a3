"""In which order workers go back and go on after a revert; what becomes of each is told, not tried."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_reporter import QuietReporter
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.deploying.auto_revert import auto_revert, what_failed
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.reverting.revert_commit import Revert
from gitopsd.daemon.reverting.rollback import prepare_rollback
from gitopsd.model.artifacts import GroupRecord
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import BRANCH
from tests.daemon.two_workflows import head_of, of_workflow, tree_at, two_workflows, went


class Reporter(QuietReporter):
    def __init__(self) -> None:
        self.reverts: list[Revert] = []
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def reverted(self, revert: Revert) -> None:
        self.reverts.append(revert)


@dataclass
class Rollouts:
    """Stands in for `roll_out`: `outcomes` in turn, then all is well. `runs` has the workers of each, and how."""

    outcomes: list[Rollout]
    runs: list[tuple[frozenset[str], GroupRecord | None]] = field(default_factory=list)

    def __call__(
        self, *given: Any, settings: GroupRecord | None = None, **_: Any
    ) -> Generator[WorkerResult, None, Rollout]:
        desired: Mapping[str, object] = given[3]
        self.runs.append((frozenset(desired), settings))
        outcome = self.outcomes.pop(0) if self.outcomes else Rollout()
        yield from outcome.results
        return outcome


def failed(worker: str, job: str, *, not_attempted: tuple[str, ...] = ()) -> Rollout:
    result = WorkerResult(worker=worker, state="failed", failures={job: ("it died", ())})
    return Rollout(results=(result,), not_attempted=not_attempted, failed=(worker,), to_revert=(job.partition(".")[0],))


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Deployment 1 went well; deployment 2 changes both workflows on all three machines."""
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    went(found)
    found.commit(
        {
            "workflows/orders.yaml": workflow("orders", 4, path="bad"),
            "workflows/alerts.yaml": workflow("alerts", 3, path="bad"),
        }
    )
    assert len(found.deploy().plan.changed_workers) == 3
    return found


def reverting(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch, first: Rollout, *outcomes: Rollout
) -> tuple[Rollouts, Reporter, list[WorkerResult]]:
    rollouts, reporter = Rollouts(list(outcomes)), Reporter()
    monkeypatch.setattr("gitopsd.daemon.deploying.auto_revert.roll_out", rollouts)
    head = head_of(repository)
    return rollouts, reporter, list(auto_revert(repository.workspace(), BRANCH, head, first, reporter=reporter))


def on(repository: Deployments, job: str) -> str:
    return repository.placement()[job]


def test_those_that_were_given_it_go_back_at_once_and_the_others_follow_as_their_groups_ask(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = on(repository, "orders.write.0")
    others = frozenset({"edge-1", "edge-2", "edge-3"} - {canary})
    first = failed(canary, "orders.write.0", not_attempted=tuple(sorted(others)))
    rollouts, reporter, _ = reverting(repository, monkeypatch, first)
    assert [workers for workers, _ in rollouts.runs] == [frozenset({canary}), others]
    at_once, theirs = (settings for _, settings in rollouts.runs)
    assert at_once is not None
    assert (at_once.canary, at_once.max_parallel, at_once.max_failed) == (0, "100%", "100%")
    assert theirs is None
    assert [revert.deployment for revert in reporter.reverts] == [3]


def test_another_workflow_that_fails_on_those_that_follow_goes_back_as_well(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_tree = tree_at(repository, "rendered/production~1")
    canary = on(repository, "orders.write.0")
    second, third = sorted({"edge-1", "edge-2", "edge-3"} - {canary})
    rollouts, reporter, results = reverting(
        repository,
        monkeypatch,
        failed(canary, "orders.write.0", not_attempted=(second, third)),
        Rollout(),
        failed(second, "alerts.write.0", not_attempted=(third,)),
    )
    assert [tuple(revert.quarantines) for revert in reporter.reverts] == [("orders",), ("alerts",)]
    assert [workers for workers, _ in rollouts.runs] == [
        {canary}, {second, third}, {canary, second}, {third},
    ]  # fmt: skip
    assert [result.worker for result in results] == [second]
    after = tree_at(repository)
    for name in ("orders", "alerts"):
        assert of_workflow(after, name) == of_workflow(first_tree, name)


def test_a_revert_that_fails_itself_is_not_reverted_and_the_others_go_on(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = on(repository, "orders.write.0")
    others = tuple(sorted({"edge-1", "edge-2", "edge-3"} - {canary}))
    first = failed(canary, "orders.write.0", not_attempted=others)
    rollouts, reporter, _ = reverting(
        repository, monkeypatch, first, failed(canary, "orders.write.0"), failed(others[0], "orders.write.1")
    )
    assert len(rollouts.runs) == 2
    assert len(reporter.reverts) == 1
    assert "what failed is what it was returned to" in reporter.notes[0]


@pytest.mark.parametrize("ending", [Rollout(interrupted=True), Rollout(superseded_by=9)])
def test_nothing_more_is_begun_once_it_is_interrupted_or_superseded(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch, ending: Rollout
) -> None:
    canary = on(repository, "orders.write.0")
    others = tuple(sorted({"edge-1", "edge-2", "edge-3"} - {canary}))
    first = failed(canary, "orders.write.0", not_attempted=others)
    rollouts, _, _ = reverting(repository, monkeypatch, first, ending)
    assert len(rollouts.runs) == 1


def test_nothing_to_revert_is_nothing_done(repository: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    head = head_of(repository)
    rollouts, _, _ = reverting(repository, monkeypatch, Rollout(failed=("edge-1",)))
    assert (rollouts.runs, head_of(repository)) == ([], head)


def test_what_went_wrong_is_said_of_the_workflow_itself() -> None:
    results = (
        WorkerResult(worker="a", state="failed", failures={"alerts.x.0": ("it died", ())}),
        WorkerResult(worker="b", state="failed", failures={"orders.x.0": ("it hung", ())}),
    )
    assert what_failed(Rollout(results=results), "orders") == "orders.x.0 on b: it hung"
    whole = WorkerResult(worker="c", state="rolled-back", error="c: no new connection came about")
    assert what_failed(Rollout(results=(whole,), failed=("c",)), "orders") == "c: no new connection came about"


def test_rolling_back_passes_over_the_revert_whose_source_is_the_one_that_failed(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    reverting(repository, monkeypatch, failed(on(repository, "orders.write.0"), "orders.write.0"))
    with pytest.raises(ControllerError, match="deployment 3 is an automatic revert"):
        prepare_rollback(repository.workspace(), "3", workflow=None, all_environments=True)
    found = prepare_rollback(repository.workspace(), None, workflow=None, all_environments=True)
    assert found.deployment == 1
    assert found.planned.plan.quarantined == ()
