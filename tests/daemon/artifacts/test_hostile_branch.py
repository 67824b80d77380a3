"""An artifact branch that somebody else wrote: refused with what is wrong, never obeyed, never an unexpected error."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitopsd.daemon.artifacts.committed_jobs import committed_workflow
from gitopsd.daemon.history.rollout_note import RolloutNote, parse_note
from gitopsd.model.trees import EXECUTABLE, SYMLINK, Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import artifact_branch, list_folder, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.refs import RefUpdate, update_ref
from tests.daemon.deployments import Deployments, deployments, environments, fleet, workflow

START = {
    "gitopsd.yaml": environments(production=""),
    "fleets/production.yaml": fleet("edge-1", "edge-2"),
    "workflows/orders.yaml": workflow("orders", 2),
}


@pytest.fixture
def deployed(tmp_path: Path) -> Deployments:
    made = deployments(tmp_path / "fleet")
    made.commit(START)
    made.deploy()
    return made


def tamper(deployed: Deployments, files: Mapping[str, TreeFile | Graft]) -> None:
    """Puts files over those at the head of the artifact branch; a folder that one is in is replaced as a whole."""
    repository = deployed.workspace().repository
    branch = artifact_branch("production")
    head = read_head(repository, branch)
    assert head is not None
    replaced = {path.partition("/")[0] for path in files}
    top = list_folder(repository, head.commit.tree)
    kept = {name: Graft(id=entry.id, mode=entry.mode) for name, entry in top.items() if name not in replaced}
    commit = write_commit(repository, build_tree({**kept, **files}), parent=head.commit.id, message="Deployment 9: x")
    update_ref(repository, RefUpdate(ref=branch.ref, new=commit, old=head.commit.id), reason="test")


def release(jobs: object) -> TreeFile:
    return TreeFile(json.dumps({"format": 1, "worker": "w", "environment": "production", "jobs": jobs}).encode())


JOB = {"kind": "service", "digest": "d", "unit": "gitopsd-x.a.0.service", "on_change": "restart"}


DEEP = TreeFile(b'{"format": 1, "later": ' + b"[" * 50_000 + b"]" * 50_000 + b"}")


@pytest.mark.parametrize(
    "files",
    [
        {"workers/edge-1/release.json": TreeFile(b"not json")},
        {"workers/edge-1/release.json": TreeFile(b"[]")},
        {"workers/edge-1/release.json": TreeFile(b"[" * 5_000)},
        {"workers/edge-1/release.json": DEEP},
        {"facts.json": DEEP},
        {"control.json": DEEP},
        {"workers/edge-1/release.json": release({"x.a.0": {}})},
        {"workers/edge-1/release.json": release({"x.a.0": "text"})},
        {"workers/edge-1/release.json": release({"\x1b]0;pwn\x07.a.0": JOB})},
        {"workers/edge-1/release.json": release({"`<img src=//evil>": JOB})},
        {"workers/edge-1/release.json": release({"x.a.0": {**JOB, "unit": "sshd.service"}})},
        {"workers/edge\n1/release.json": release({})},
        {"workers/zz": TreeFile(b"a file")},
        {"fleet.json": TreeFile(b'{"groups": {"edge": {"max_parallel": "120%"}}}')},
        {"fleet.json": TreeFile(b'{"groups": {"edge": {"canary": -1}}}')},
        {"fleet.json": TreeFile(b'{"groups": {"edge": {"healthy_deadline": 1e300}}}')},
        {"fleet.json": TreeFile(b'{"workers": {"../..": {}}}')},
        {"policy.json": TreeFile(b'{"max_delete": -5}')},
        {"control.json": Graft(id="e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", mode=SYMLINK)},
        {"control.json": TreeFile(b'{"quarantines": {"../x": {}}}')},
        {"control.json": TreeFile(b'{"quarantines": {"orders": {"owner": "a", "reason": "b", "compiled": "c"}}}')},
        {"placement/orders.json": TreeFile(b'{"jobs": {"orders.read.0": "../x"}}')},
    ],
)
def test_what_is_no_record_is_refused_with_the_way_to_who_wrote_it(
    deployed: Deployments, files: dict[str, TreeFile | Graft]
) -> None:
    empty = deployed.workspace().repository.git.create_blob(b"")
    assert str(empty) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    tamper(deployed, files)
    with pytest.raises(RepositoryError) as refusal:
        deployed.plan()
    assert "artifact branch" in refusal.value.message
    assert refusal.value.message.isprintable()


def test_a_note_that_anybody_may_have_written_counts_as_none() -> None:
    for content in (DEEP.data, b"[", b'{"rollouts": [{"started": "\xff"}]}', b'{"rollouts": 1}'):
        assert parse_note(content) == RolloutNote()


def test_an_executable_record_is_read_all_the_same(deployed: Deployments) -> None:
    blob = deployed.workspace().repository.git.create_blob(b"{}")
    tamper(deployed, {"control.json": Graft(id=str(blob), mode=EXECUTABLE)})
    assert deployed.plan().plan.is_empty


def quarantine(deployed: Deployments, returns_to: int) -> dict[str, TreeFile | Graft]:
    """A quarantine of what is deployed of `orders`."""
    compiled = deployed.deployed()["placement/orders.json"]["compiled"]
    known = {"owner": "Eve", "reason": "x", "since": "2026-01-01T00:00:00Z", "compiled": compiled}
    record = {"quarantines": {"orders": {**known, "returns_to": returns_to}}}
    return {"control.json": TreeFile(json.dumps(record).encode())}


def test_a_quarantine_that_returns_to_no_deployment_is_refused_with_the_way_out(deployed: Deployments) -> None:
    tamper(deployed, quarantine(deployed, 9))
    with pytest.raises(RepositoryError, match="none of that number has it") as refusal:
        deployed.plan()
    assert "gitopsd quarantine release orders" in refusal.value.hint


@pytest.mark.parametrize("name", ["alerts.read.0", "orders.read.7"])
def test_a_quarantine_brings_in_no_jobs_but_those_that_were_rendered(deployed: Deployments, name: str) -> None:
    placement = deployed.deployed()["placement/orders.json"]
    placement["jobs"][name] = "edge-1"
    tamper(deployed, {"placement/orders.json": TreeFile(json.dumps(placement).encode())})
    repository = deployed.workspace().repository
    with pytest.raises(RepositoryError, match="can't be used"):
        committed_workflow(repository, deployed.repo.git("rev-parse", "rendered/production^{tree}"), "orders")
