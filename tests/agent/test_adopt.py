"""Changing a worker's owner: a compare-and-swap that touches nothing that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.releases import OWNER, TestJob, release_of
from tests.agent.worker import Refused, Worker

if TYPE_CHECKING:
    from pathlib import Path

OTHER = {"root_commit": "b" * 40, "environment": "staging"}
THIRD = {"root_commit": "c" * 40, "environment": "staging"}
ONE = release_of(TestJob(name="orders.a.0"))


def adopt(worker: Worker, owner: dict[str, Any], previous: dict[str, Any] | None, deployment: int = 0) -> bool:
    request = {"owner": owner, "previous": {"owner": previous, "deployment": deployment}}
    changed: bool = worker.call("adopt", request)["changed"]
    return changed


def test_a_worker_changes_hands_and_what_runs_goes_on(worker: Worker) -> None:
    worker.activate(ONE)
    before = worker.observe()
    looked = worker.call("adopt", {"dry_run": True})
    assert looked["owner"] == OWNER
    assert looked["activated"] > 0
    assert adopt(worker, OTHER, OWNER)
    after = worker.observe()
    assert after == {**before, "owner": OTHER}
    with pytest.raises(Refused, match="owned-by-another") as refused:
        worker.activate(ONE, ONE)
    assert "gitopsd worker adopt" in refused.value.message
    assert worker.activate(ONE, ONE, owner=OTHER)["unchanged"] == ["orders.a.0"]
    assert adopt(worker, OWNER, OTHER), "for the fixture, whose teardown is the first owner's"


def test_repeating_it_changes_nothing(worker: Worker) -> None:
    worker.activate(ONE)
    assert adopt(worker, OTHER, OWNER)
    assert not adopt(worker, OTHER, OWNER)


def test_the_new_owner_begins_with_its_own_numbers_of_deployments(worker: Worker) -> None:
    worker.activate(ONE, deployment=7)
    with pytest.raises(Refused, match="owner-changed"):
        adopt(worker, OTHER, OWNER, 6)
    assert adopt(worker, OTHER, OWNER, 7)
    assert worker.activate(ONE, ONE, owner=OTHER, deployment=1)["observation"]["deployment"] == 1


def test_adopting_ones_own_worker_lets_an_earlier_deployment_in_again(worker: Worker) -> None:
    worker.activate(ONE, deployment=7)
    with pytest.raises(Refused, match="stale") as refused:
        worker.activate(ONE, ONE, deployment=3)
    assert "gitopsd worker adopt" in refused.value.message
    assert adopt(worker, OWNER, OWNER, 7)
    assert worker.activate(ONE, ONE, deployment=3)["observation"]["deployment"] == 3


def test_whoever_looked_at_another_owner_changes_nothing(worker: Worker) -> None:
    worker.activate(ONE)
    for previous in (THIRD, None, {**OWNER, "environment": "other"}):
        with pytest.raises(Refused, match="owner-changed"):
            adopt(worker, OTHER, previous)
    assert worker.observe()["owner"] == OWNER


def test_a_worker_of_nobody_is_adopted(worker: Worker) -> None:
    assert worker.call("adopt", {"dry_run": True}) == {
        "ok": True,
        "owner": None,
        "deployment": 0,
        "activated": None,
    }
    assert not (worker.root / "owner.json").exists(), "looking leaves nothing"
    assert adopt(worker, OTHER, None)
    assert worker.observe()["owner"] == OTHER


@pytest.mark.parametrize("changes", [{"owner": None}, {"previous": "b" * 40}, {"previous": None}, {"dry_run": "yes"}])
def test_a_request_that_makes_no_sense_is_refused(worker: Worker, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="protocol"):
        worker.call("adopt", {"owner": OTHER, "previous": {"owner": None, "deployment": 0}, **changes})


def test_a_damaged_owner_is_not_overwritten(worker: Worker, tmp_path: Path) -> None:
    del tmp_path
    worker.activate(ONE)
    (worker.root / "owner.json").write_text("{")
    with pytest.raises(Refused, match="damaged"):
        adopt(worker, OTHER, OWNER)
    assert (worker.root / "owner.json").read_text() == "{"
    (worker.root / "owner.json").unlink()
