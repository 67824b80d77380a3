"""Cordons, drains and workers that leave, as commits of the artifact branch; no worker is reached."""

import json
from pathlib import Path

import pytest

from gitopsd.daemon.artifacts.control import change_control, moment, remove_expired
from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.workers.cordons import cordon_worker, plan_drain, uncordon_worker
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import ControlRecord, Cordon
from gitopsd.repo.artifacts import ArtifactHead
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import open_at
from tests.daemon.deployments import Deployments
from tests.daemon.three_machines import BRANCH, machines, record, three_machines
from tests.repo.gitrepo import git


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    return three_machines(tmp_path / "repository")


def test_a_cordon_says_who_why_since_when_and_until_when(repository: Deployments) -> None:
    repository.deploy()
    workspace = repository.workspace()
    done = cordon_worker(workspace, "edge-1", reason="new disk", until="2999-01-01T00:00:00Z", drained=False)
    cordon = record(repository)["cordons"]["edge-1"]
    assert cordon.pop("since") <= moment()
    assert cordon == {"owner": "Ada <ada@example.org>", "reason": "new disk", "until": "2999-01-01T00:00:00Z"}
    assert repository.repo.git("rev-parse", "rendered/production") == done.commit
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    assert message == "Cordon edge-1: new disk\n\nEnvironment: production\n"[:-1]
    assert repository.deployment() == 1


def test_the_same_again_commits_nothing_and_lifting_it_is_a_commit(repository: Deployments) -> None:
    workspace = repository.workspace()
    assert cordon_worker(workspace, "edge-1", reason="x", until="", drained=False).commit, "without a branch as yet"
    assert not cordon_worker(workspace, "edge-1", reason="x", until="", drained=False).commit
    assert cordon_worker(workspace, "edge-1", reason="y", until="", drained=False).commit
    assert uncordon_worker(workspace, "edge-1").commit
    assert not uncordon_worker(workspace, "edge-1").commit
    assert record(repository)["cordons"] == {}
    repository.deploy()
    assert repository.deployment() == 1


def test_a_cordon_on_a_drained_worker_leaves_it_drained(repository: Deployments) -> None:
    workspace = repository.workspace()
    cordon_worker(workspace, "edge-1", reason="x", until="", drained=True)
    cordon_worker(workspace, "edge-1", reason="y", until="", drained=False)
    assert record(repository)["cordons"]["edge-1"]["drained"]


def test_a_cordoned_worker_gets_nothing_new_and_a_drained_one_gives_its_jobs_away(repository: Deployments) -> None:
    repository.deploy()
    before = repository.placement()
    workspace = repository.workspace()
    cordon_worker(workspace, "edge-1", reason="x", until="", drained=False)
    assert repository.plan().plan.is_empty
    cordon_worker(workspace, "edge-1", reason="x", until="", drained=True)
    planned, moves = plan_drain(workspace, "edge-1")
    own = {job for job, worker in before.items() if worker == "edge-1"}
    assert own
    assert {change.job for change in moves} == own
    assert planned.plan.counts()["move"] == len(own)
    repository.deploy()
    after = repository.placement()
    assert {job for job in before if before[job] != after[job]} == own
    uncordon_worker(workspace, "edge-1")
    assert repository.plan().plan.is_empty, "nothing moves back"


def test_jobs_that_can_go_nowhere_fail_the_plan_and_say_so(repository: Deployments) -> None:
    repository.deploy()
    for number in (1, 2, 3):
        cordon_worker(repository.workspace(), f"edge-{number}", reason="x", until="", drained=True)
    with pytest.raises(DiagnosticsError) as refused:
        plan_drain(repository.workspace(), "edge-3")
    assert "`edge-1`, `edge-2`, `edge-3`: it is being drained" in refused.value.diagnostics[0].message


def test_what_has_expired_counts_until_a_commit_removes_it(repository: Deployments) -> None:
    repository.deploy()
    workspace = repository.workspace()
    cordon_worker(workspace, "edge-3", reason="x", until="2999-01-01T00:00:00Z", drained=False)
    cordon_worker(workspace, "edge-1", reason="x", until="2001-01-01T00:00:00Z", drained=True)
    assert repository.plan().plan.counts()["move"], "a plan knows no clock"
    cordon_worker(workspace, "edge-2", reason="y", until="2001-01-01T00:00:00Z", drained=False)
    assert record(repository)["cordons"].keys() == {"edge-2", "edge-3"}
    assert "the cordon of edge-1 expired at 2001" in repository.repo.git(
        "log", "-1", "--format=%B", "rendered/production"
    )
    assert repository.plan().plan.is_empty
    assert remove_expired(workspace, BRANCH) == ("the cordon of edge-2 expired at 2001-01-01T00:00:00Z",)
    assert remove_expired(workspace, BRANCH) == ()
    assert record(repository)["cordons"].keys() == {"edge-3"}


def test_what_a_later_version_keeps_in_the_file_stays_there(repository: Deployments) -> None:
    repository.repo.git("checkout", "-q", "--orphan", "rendered/production")
    repository.repo.git("rm", "-rqf", ".")
    repository.commit({"control.json": '{"format": 1, "windows": {"orders": {"allow": "x"}}, "cordons": {}}'})
    repository.repo.git("checkout", "-q", "main")
    cordon_worker(repository.workspace(), "edge-1", reason="x", until="", drained=False)
    assert record(repository)["windows"] == {"orders": {"allow": "x"}}


def test_two_clones_that_cordon_at_once_both_count(repository: Deployments, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository.repo.path), "fleet.git")
    clones = []
    for name in ("one", "other"):
        git(tmp_path, "clone", "-q", "fleet.git", name)
        opened = open_at(tmp_path / name)
        workspace = Workspace(repository=opened, remote=find_remote(opened), configuration=Configuration())
        clones.append(workspace)
    one, other = clones
    cordon = Cordon(owner="Ada", reason="one", since="2026-01-01T00:00:00Z")
    raced: list[str] = []

    def change(present: ControlRecord, head: ArtifactHead | None) -> tuple[str, ControlRecord]:  # noqa: ARG001
        """The head has been read: the other one commits before this one does."""
        if not raced:
            raced.append(cordon_worker(other, "edge-2", reason="other", until="", drained=False).commit)
        return "Cordon edge-1", ControlRecord(cordons={**present.cordons, "edge-1": cordon})

    mine = change_control(one, BRANCH, change)
    assert git(tmp_path / "fleet.git", "rev-parse", f"{mine}^") == raced[0]
    found = json.loads(git(tmp_path / "fleet.git", "show", "rendered/production:control.json"))
    assert {name: one["reason"] for name, one in found["cordons"].items()} == {"edge-1": "one", "edge-2": "other"}


def test_only_workers_of_the_fleet_are_cordoned(repository: Deployments) -> None:
    with pytest.raises(ControllerError, match="no worker `edge-9`"):
        cordon_worker(repository.workspace(), "edge-9", reason="x", until="", drained=False)
    with pytest.raises(ControllerError, match="no worker `edge-9`"):
        uncordon_worker(repository.workspace(), "edge-9")
    repository.deploy()
    repository.commit({"fleets/production.yaml": machines(1, 2)})
    repository.deploy()
    with pytest.raises(ControllerError, match="is leaving"):
        cordon_worker(repository.workspace(), "edge-3", reason="x", until="", drained=False)
