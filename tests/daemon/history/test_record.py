"""The record of a deployment: the commits that it brings, and what became of it on each worker."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.daemon.history.brought import Brought, brought_by
from gitopsd.daemon.history.deployment_record import DeploymentRecord, read_record
from gitopsd.daemon.history.outcomes import WorkerOutcome, worker_outcomes
from gitopsd.daemon.history.rollout_note import read_rollouts, record_rollout
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import BRANCH
from tests.daemon.two_workflows import head_of, two_workflows, went


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    return found


def change(repository: Deployments, message: str, to: str) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path=to)}, message)


def brings(repository: Deployments) -> Brought:
    deployment = head_of(repository).deployment
    assert deployment is not None
    return brought_by(repository.workspace().repository, deployment)


def record(repository: Deployments) -> DeploymentRecord:
    deployment = head_of(repository).deployment
    assert deployment is not None
    return read_record(repository.workspace().repository, BRANCH, deployment)


def outcomes(repository: Deployments) -> dict[str, WorkerOutcome]:
    opened, deployment = repository.workspace().repository, head_of(repository).deployment
    assert deployment is not None
    found = worker_outcomes(opened, deployment, read_rollouts(opened, BRANCH, deployment).rollouts)
    return {one.worker: one for one in found}


def test_the_first_deployment_brings_its_version(repository: Deployments) -> None:
    change(repository, "later", "b")
    assert [one.subject for one in brings(repository).commits] == ["change"]


def test_versions_that_were_skipped_are_recorded_as_superseded(repository: Deployments) -> None:
    for name in ("two", "three", "four"):
        change(repository, name, name)
    repository.deploy()
    went(repository)
    assert [one.subject for one in brings(repository).commits] == ["four", "three", "two"]
    assert brings(repository).commits[0].author == "Ada <ada@example.org>"
    note = read_rollouts(repository.workspace().repository, BRANCH, head_of(repository).commit)
    assert note.brings == brings(repository) == record(repository).brings


def test_a_merge_counts_once(repository: Deployments) -> None:
    repository.repo.git("checkout", "-q", "-b", "topic")
    change(repository, "one", "one")
    change(repository, "two", "two")
    repository.repo.git("checkout", "-q", "main")
    repository.repo.git("merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    repository.deploy()
    assert [one.subject for one in brings(repository).commits] == ["Merge topic"]


def test_a_deployment_that_goes_back_brings_nothing(repository: Deployments) -> None:
    change(repository, "two", "two")
    repository.deploy()
    repository.deploy(revision="HEAD~1")
    assert brings(repository) == Brought()


def test_many_are_counted_and_the_newest_named(repository: Deployments) -> None:
    stream = b"".join(
        b"commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata %d\n%d\n%s\n"
        % (1_700_000_000 + number, len(str(number)), number, b"from refs/heads/main^0\n" if number == 0 else b"")
        for number in range(60)
    )
    repository.repo.git("fast-import", "--quiet", stdin=stream)
    repository.repo.git("reset", "-q", "--hard", "main")
    change(repository, "newest", "b")
    repository.deploy()
    found = brings(repository)
    assert (found.count, len(found.commits), found.commits[0].subject) == (61, 50, "newest")


def test_each_worker_has_its_result_with_when_it_was_seen(repository: Deployments) -> None:
    assert {one.outcome for one in outcomes(repository).values()} == {"unknown"}
    went(repository, failed={"edge-1": ["orders.read.0"]}, away=["edge-2"])
    found = outcomes(repository)
    assert [found[name].outcome for name in ("edge-1", "edge-2", "edge-3")] == ["failed", "failed", "in-sync"]
    assert found["edge-1"].error == "orders.read.0: it died"
    (rollout,) = record(repository).rollouts
    assert {one.at for one in found.values()} == {rollout.finished}
    went(repository, only=["edge-1"])
    assert outcomes(repository)["edge-1"].outcome == "in-sync", "a later run put it right"


def test_a_run_that_was_called_away_before_any_worker_takes_nothing_back_of_what_converged(
    repository: Deployments,
) -> None:
    def called_away() -> None:
        rollout = Rollout(not_attempted=("edge-1", "edge-2", "edge-3"), superseded_by=2)
        workers, now = list(rollout.not_attempted), datetime.now(UTC)
        record_rollout(
            repository.workspace(), BRANCH, head_of(repository), rollout, workers, started=now, overwritten={}
        )

    went(repository, away=["edge-2"])
    called_away()
    assert [one.superseded_by for one in record(repository).rollouts] == [None, 2], "edge-2 was still to come"
    went(repository)
    called_away()
    assert record(repository).rollouts[-1].counts == {"converged": 3}
