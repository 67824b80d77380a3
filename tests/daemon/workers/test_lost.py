"""Workers given up as lost, as commits: what moves, and what is refused. Nobody is reached."""

import json
from pathlib import Path
from typing import Any

import pytest

from gitopsd.daemon.convergence.attempts import Remembered
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.holds import upgrade as upgrade_module
from gitopsd.daemon.planning import plan as planning_module
from gitopsd.daemon.workers.lost import (
    GivenUp,
    describe,
    find_lost,
    give_up,
    lost_worker,
    lost_workers,
    note_returned,
    plan_without,
)
from gitopsd.model.artifacts import LostWorker
from gitopsd.planner.lost import Absence, Instant
from gitopsd.repo.artifacts import ArtifactHead, read_head
from gitopsd.runner.bundle import runtime_files
from tests.daemon.deployments import Deployments, deployments, environments, workflow
from tests.daemon.three_machines import BRANCH, machines, record

LOST = {"edge-2": LostWorker(since="2026-05-01T08:00:00Z")}


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    found = deployments(tmp_path / "repository")
    found.commit(
        {
            "gitopsd.yaml": environments(production=""),
            "fleets/production.yaml": fleet(),
            "workflows/orders.yaml": workflow("orders", 4),
        }
    )
    found.deploy()
    return found


def fleet(lost_after: str = "10m") -> dict[str, Any]:
    declared = machines(1, 2, 3, 4)
    declared["groups"]["edge"]["lost_after"] = lost_after
    return declared


def head_of(repository: Deployments) -> ArtifactHead:
    head = read_head(repository.workspace().repository, BRANCH)
    assert head is not None
    return head


def silent(seconds: float) -> Remembered:
    first = Instant(wall=1e9, steady=100.0, boot="one")
    last = Instant(wall=1e9 + seconds, steady=100.0 + seconds, boot="one")
    return Remembered(absence=Absence(first=first, last=last, attempts=2), seen=1e9 - 5)


def lose(repository: Deployments, lost: dict[str, LostWorker] = LOST) -> GivenUp:
    return give_up(repository.workspace(), BRANCH, lost)


def test_what_ran_there_moves_by_a_deployment_that_says_so_and_nothing_else_does(repository: Deployments) -> None:
    before = repository.placement()
    own = {job for job, worker in before.items() if worker == "edge-2"}
    found = lose(repository)
    after = repository.placement()
    assert {job for job in before if before[job] != after[job]} == own == set(found.moves)
    assert "edge-2" not in after.values()
    assert (found.deployment, found.staying) == (2, ())
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    assert message.startswith("Deployment 2: edge-2 lost")
    assert "Trigger: lost" in message
    assert record(repository, "facts.json")["lost"] == {"edge-2": {"since": "2026-05-01T08:00:00Z"}}
    assert json.loads(repository.repo.git("show", "rendered/production:workers/edge-2/release.json"))["jobs"] == {}
    planned = repository.plan()
    assert planned.head
    assert planned.plan.tree == planned.head.commit.tree, "the next version renders the very same"


def test_a_dry_look_at_it_commits_nothing_and_tells_the_same(repository: Deployments) -> None:
    head = head_of(repository)
    dry = describe(plan_without(repository.workspace(), BRANCH, head, LOST), head, LOST)
    assert head_of(repository) == head
    found = lose(repository)
    assert (dry.moves, dry.deployment, dry.changed_workers) == (found.moves, found.deployment, found.changed_workers)
    assert "edge-2" not in found.changed_workers


def test_one_that_is_back_takes_jobs_again_and_nothing_flaps_back(repository: Deployments) -> None:
    lose(repository)
    after = repository.placement()
    workspace = repository.workspace()
    assert note_returned(workspace, BRANCH, {"edge-1"}) == ()
    assert note_returned(workspace, BRANCH, {"edge-1", "edge-2"}) == ("edge-2",)
    assert lost_workers(workspace.repository, head_of(repository)) == {}
    assert note_returned(workspace, BRANCH, {"edge-2"}) == ()
    planned = repository.plan()
    assert planned.plan.is_empty
    assert repository.placement() == after
    repository.commit({"workflows/more.yaml": workflow("more", 4)})
    repository.deploy()
    assert "edge-2" in repository.placement().values()


def test_the_deployed_version_moves_and_not_a_newer_one(repository: Deployments) -> None:
    deployed = repository.repo.git("rev-parse", "HEAD")
    repository.commit({"workflows/more.yaml": workflow("more", 4)})
    lose(repository)
    assert {job.partition(".")[0] for job in repository.placement()} == {"orders"}
    assert f"Source-Commit: {deployed}" in repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    repository.commit({"workflows/more.yaml": "workflow: [\n"})
    lose(repository, {"edge-3": LOST["edge-2"]})
    assert record(repository, "facts.json")["lost"].keys() == {"edge-2", "edge-3"}


def test_records_of_a_version_that_changed_no_release_stay(repository: Deployments) -> None:
    repository.commit({"fleets/production.yaml": fleet("20m")})
    repository.deploy()
    assert record(repository, "fleet.json")["workers"]["edge-1"]["lost_after"] == 1200
    lose(repository)
    assert record(repository, "fleet.json")["workers"]["edge-1"]["lost_after"] == 1200


def test_what_cannot_be_had_as_it_was_deployed_is_refused(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = head_of(repository)
    for module in (planning_module, upgrade_module):
        monkeypatch.setattr(module, "runtime_files", lambda: {**runtime_files(), "more.py": (b"", False)})
    with pytest.raises(ControllerError, match=r"another runtime of gitopsd .* would restart; nothing is moved before"):
        lose(repository)
    monkeypatch.undo()
    repository.repo.git("checkout", "-q", "--orphan", "other")
    repository.commit({"README.md": "another history"})
    repository.repo.git("branch", "-D", "main")
    repository.repo.git("reflog", "expire", "--expire=now", "--all")
    repository.repo.git("gc", "-q", "--prune=now")
    with pytest.raises(ControllerError, match="is not in this clone") as refused:
        lose(repository)
    assert refused.value.hint
    assert head_of(repository) == head


def test_a_pin_that_was_moved_is_no_reason_to_deploy_something_else(repository: Deployments) -> None:
    repository.repo.git("tag", "v1")
    repository.commit({"gitopsd.yaml": environments(production="v1"), "fleets/production.yaml": fleet("20m")})
    repository.commit({"workflows/orders.yaml": workflow("orders", 5)})
    repository.deploy()
    repository.repo.git("tag", "--force", "v1")
    head = head_of(repository)
    with pytest.raises(ControllerError, match="something else than when it was deployed"):
        lose(repository)
    assert head_of(repository) == head


def test_jobs_that_have_nowhere_to_go_stay(repository: Deployments) -> None:
    declared = fleet()
    for worker in declared["groups"]["edge"]["workers"].values():
        worker["slots"] = 2
    repository.commit({"fleets/production.yaml": declared})
    repository.deploy()
    head = head_of(repository)
    with pytest.raises(DiagnosticsError) as refused:
        lose(repository)
    assert "it is lost" in refused.value.diagnostics[0].message
    assert head_of(repository) == head
    assert lost_workers(repository.workspace().repository, head) == {}


def test_a_worker_without_jobs_is_recorded_and_nothing_is_deployed(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 1)})
    repository.deploy()
    empty = min({f"edge-{number}" for number in range(1, 5)} - set(repository.placement().values()))
    number = repository.deployment()
    found = lose(repository, {empty: LOST["edge-2"]})
    assert (found.deployment, found.moves, found.changed_workers) == (None, {}, frozenset())
    assert repository.deployment() == number
    assert set(record(repository, "facts.json")["lost"]) == {empty}


def test_who_is_lost_is_read_from_what_is_deployed(repository: Deployments) -> None:
    store, head = repository.workspace().repository, head_of(repository)
    assert find_lost(store, head, {"edge-2": silent(599)}, {"edge-2"}) == ()
    [verdict] = find_lost(store, head, {"edge-2": silent(600), "gone": silent(600)}, {"edge-2", "gone"})
    assert not verdict.kept_because, "the channel's store is on a mount that all of the group share"
    told = lost_worker(verdict, 1e9 - 5)
    assert (told.since, told.seen) == ("2001-09-09T01:46:40Z", "2001-09-09T01:46:35Z")
    both = {"edge-1": silent(600), "edge-2": silent(600)}
    for tried in ({"edge-1"}, {"edge-1", "edge-2"}):
        found = find_lost(store, head, both, tried)
        assert {one.worker for one in found} == tried
        assert all("2 of 4 workers" in one.kept_because for one in found)
    assert find_lost(store, head, {"edge-2": silent(600)}, ()) == (), "who wasn't asked just now isn't given up"
    lose(repository)
    assert find_lost(store, head_of(repository), {"edge-2": silent(900)}, {"edge-2"}) == ()


def test_a_worker_whose_jobs_may_hold_events_keeps_them(repository: Deployments) -> None:
    declared = fleet()
    declared["groups"]["edge"]["workers"]["edge-3"]["labels"] = {"spool": "yes"}
    spool = workflow("spool", 1)
    for step in spool["steps"].values():
        step["place"] = {"group": "edge", "constraints": ["label.spool == yes"]}
    spool["channels"]["c"]["path"] = "/var/spool/orders"
    repository.commit({"fleets/production.yaml": declared, "workflows/spool.yaml": spool})
    repository.deploy()
    [kept] = find_lost(repository.workspace().repository, head_of(repository), {"edge-3": silent(600)}, {"edge-3"})
    assert kept.kept_because == "events may lie in /var/spool/orders there, and nowhere else"
