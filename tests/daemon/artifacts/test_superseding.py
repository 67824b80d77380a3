"""Whether a newer deployment is there, or a pause: on the branch here, and on that of a remote."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from gitopsd.daemon.artifacts.control import KnownPause, change_control
from gitopsd.daemon.artifacts.superseding import BranchWatch
from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.holds.pausing import pause_environment
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.control import Cordon
from gitopsd.repo.artifacts import artifact_branch, read_head
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import open_at
from tests.daemon.deployments import Deployments
from tests.daemon.three_machines import machines, three_machines

BRANCH = artifact_branch("production")


@dataclass
class Watching:
    """`newer` over a workspace, with what it warns of, and how often it was alone with the repository."""

    workspace: Workspace
    warnings: list[str] = field(default_factory=list)
    times_alone: int = 0

    def newer(self) -> BranchWatch:
        head = read_head(self.workspace.repository, BRANCH)
        assert head is not None
        return BranchWatch(self.workspace, BRANCH, head, alone=self.alone, warn=self.warnings.append)

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.times_alone += 1
        yield


def deployed(path: Path) -> Deployments:
    found = three_machines(path)
    found.deploy()
    return found


def deploy_again(found: Deployments) -> None:
    found.commit({"fleets/production.yaml": machines(1, 2)})
    found.deploy()


def test_a_deployment_that_is_committed_here_is_found_and_nothing_else_is(tmp_path: Path) -> None:
    found = deployed(tmp_path / "one")
    watching = Watching(found.workspace())
    newer = watching.newer()
    assert newer.find() is None
    fleet = machines(1, 2, 3)
    fleet["groups"]["edge"]["rollout"] = {"canary": 1}
    found.commit({"fleets/production.yaml": fleet})
    found.deploy()  # records alone
    assert newer.find() is None
    deploy_again(found)
    assert newer.find() == 2
    assert not watching.warnings


def test_a_pause_that_begins_is_found_and_one_that_was_there_before_is_not(tmp_path: Path) -> None:
    found = deployed(tmp_path / "one")
    watching = Watching(found.workspace())
    before = watching.newer()
    pause_environment(found.workspace(), reason="Stop", until="2000-01-01T00:00:00Z")
    assert before.find() is None, "it has expired"
    pause_environment(found.workspace(), reason="Stop", until="")
    pause = before.find()
    assert isinstance(pause, KnownPause)
    assert pause.reason == "Stop"
    assert before.find() is None, "the branch didn't move since"
    in_spite = watching.newer()
    cordon = Cordon(owner="Ann", reason="Disk", since="2026-01-01T00:00:00Z")
    change_control(found.workspace(), BRANCH, lambda record, _: ("Cordon", replace(record, cordons={"edge-1": cordon})))
    assert in_spite.find() is None
    deploy_again(found)
    assert in_spite.find() == 2


def test_a_deployment_of_the_remote_is_found_when_that_is_asked(tmp_path: Path) -> None:
    found = deployed(tmp_path / "one")
    bare = tmp_path / "fleet.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(found.repo.path), str(bare)], check=True)
    clone = tmp_path / "two"
    subprocess.run(["git", "clone", "--quiet", str(bare), str(clone)], check=True)
    subprocess.run(["git", "branch", "--quiet", BRANCH.name, f"origin/{BRANCH.name}"], cwd=clone, check=True)
    repository = open_at(clone)
    watching = Watching(
        Workspace(
            repository=repository, remote=find_remote(repository), configuration=Configuration(), environment=None
        )
    )
    newer = watching.newer()
    deploy_again(found)
    found.repo.git("push", "--quiet", str(bare), BRANCH.name)
    assert newer.find() is None, "it isn't asked all the time"
    assert newer.find(at_once=True) == 2
    assert watching.times_alone >= 3


def test_a_remote_that_cannot_be_asked_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    found = deployed(tmp_path / "one")
    found.repo.git("remote", "add", "origin", str(tmp_path / "nowhere"))
    repository = open_at(found.repo.path)
    remote = find_remote(repository)
    workspace = Workspace(repository=repository, remote=remote, configuration=Configuration(), environment=None)
    watching = Watching(workspace)
    newer = watching.newer()
    assert newer.find(at_once=True) is None
    assert newer.find(at_once=True) is None
    assert len(watching.warnings) == 1
    assert "whether a newer version was deployed, or a pause began, can't be told" in watching.warnings[0]
