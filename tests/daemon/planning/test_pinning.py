"""Environments that are pinned to a tag or commit: what comes from there, and what doesn't."""

from pathlib import Path

import pytest

from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.planning.pinning import pinned_source
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.repo.commit_source import commit_tree
from tests.daemon.deployments import Deployments, deployments, environments, fleet, workflow


@pytest.fixture
def staged(tmp_path: Path) -> Deployments:
    """v1 has two replicas, v2 three, the head four; `production` is pinned to v1, `staging` follows the branch."""
    made = deployments(tmp_path / "fleet")
    for version in (1, 2):
        made.commit({
            "gitopsd.yaml": environments(production="", staging=""),
            "fleets/production.yaml": fleet("edge-1"),
            "workflows/orders.yaml": workflow("orders", version + 1),
        })  # fmt: skip
        made.repo.git("tag", f"v{version}")
    made.commit({
        "gitopsd.yaml": environments(production="v1", staging=""), "workflows/orders.yaml": workflow("orders", 4)
    })  # fmt: skip
    return made


def _replicas(made: Deployments, environment: str) -> int:
    changes = made.plan(environment).plan.changes
    return sum(change.job.startswith("orders.read.") and change.action != "delete" for change in changes)


def _mistake(made: Deployments, pin: str) -> Diagnostic:
    made.write({"gitopsd.yaml": environments(production=pin, staging="")})
    with pytest.raises(DiagnosticsError) as caught:
        made.plan("production")
    (mistake,) = caught.value.diagnostics
    assert mistake.location.path == "gitopsd.yaml"
    return mistake


def _pin(made: Deployments, pin: str) -> str:
    made.commit({"gitopsd.yaml": environments(production=pin, staging="")}, f"Pin {pin}")
    return made.plan("production").plan.inputs.pinned


def test_promotion_is_a_change_of_the_pin(staged: Deployments) -> None:
    assert _replicas(staged, "production") == 2
    assert _replicas(staged, "staging") == 4
    staged.deploy("production")
    staged.commit({"workflows/orders.yaml": workflow("orders", 5)})
    assert staged.plan("production").plan.is_empty
    pinned = _pin(staged, "v2")
    assert pinned == staged.repo.git("rev-parse", "v2")
    assert _replicas(staged, "production") == 3
    assert _replicas(staged, "staging") == 5


def test_a_pinned_source_is_the_fleet_of_the_version_and_the_rest_of_the_pin(staged: Deployments) -> None:
    workspace = staged.workspace("production")
    pinned = pinned_source(workspace, workspace.source("HEAD"))
    assert pinned.source.commit == staged.repo.git("rev-parse", "HEAD")
    v1 = {path: staged.repo.git("rev-parse", f"v1:{path}") for path in ("workflows/orders.yaml",)}
    ours = {path: staged.repo.git("rev-parse", f"HEAD:{path}") for path in ("gitopsd.yaml", "fleets/production.yaml")}
    assert {path: file.blob for path, file in pinned.source.files.items()} == v1 | ours


def test_the_tree_id_is_the_one_that_a_commit_of_the_composed_files_has(staged: Deployments) -> None:
    workspace = staged.workspace("production")
    composed = pinned_source(workspace, workspace.source("HEAD")).source
    staged.repo.git("checkout", "-q", "v1", "--", "workflows")
    commit = staged.repo.commit("the same by hand")
    assert composed.id == commit_tree(workspace.repository, commit)
    assert composed.id == workspace.source(commit).id
    staged.write({"README.md": "not ours\n", "fleets/production.yaml": fleet("edge-1", "edge-9")})
    edited = pinned_source(workspace, workspace.source()).source
    assert edited.commit is None
    assert edited.id == workspace.source(staged.repo.commit("a work tree with edits")).id


def test_a_worker_is_added_without_moving_the_pin(staged: Deployments) -> None:
    staged.deploy("production")
    staged.commit({"fleets/production.yaml": fleet("edge-1", "edge-2")})
    plan = staged.plan("production").plan
    assert "edge-2" in plan.changed_workers
    assert plan.inputs.pinned == staged.repo.git("rev-parse", "v1")


def test_a_commit_will_do_by_seven_digits(staged: Deployments) -> None:
    commit = staged.repo.git("rev-parse", "v2")
    assert _pin(staged, commit[:7]) == commit
    assert _pin(staged, commit) == commit
    assert _mistake(staged, commit[:6]).code == "unknown-pin"


def test_an_annotated_tag_and_one_in_a_folder_name_their_commits(staged: Deployments) -> None:
    staged.repo.git("tag", "-a", "-m", "reviewed", "releases/2026-11", "v2")
    assert _pin(staged, "releases/2026-11") == staged.repo.git("rev-parse", "v2")


def test_a_missing_tag_is_said_at_the_pin_and_how_to_get_it(staged: Deployments) -> None:
    mistake = _mistake(staged, "v3")
    assert mistake.code == "unknown-pin"
    assert "git fetch --tags" in mistake.hint
    assert "v1" in mistake.hint
    staged.repo.git("tag", "blob", staged.repo.git("rev-parse", "HEAD:gitopsd.yaml"))
    assert "names no commit" in _mistake(staged, "blob").message
    tree = staged.repo.git("rev-parse", "HEAD^{tree}")
    assert _mistake(staged, tree[:12]).code == "unknown-pin"


@pytest.mark.parametrize(
    "pin", ["main", "HEAD", "refs/heads/main", "heads/main", "v3", "origin/v3", "refs/remotes/origin/v3", "cafecafe"]
)
def test_a_branch_is_no_pin_wherever_it_is(staged: Deployments, pin: str) -> None:
    head = staged.repo.git("rev-parse", "HEAD")
    staged.repo.git("remote", "add", "origin", "/nowhere")
    staged.repo.git("update-ref", "refs/remotes/origin/v3", head)
    staged.repo.git("branch", "cafecafe")
    mistake = _mistake(staged, pin)
    assert mistake.code == "pin-is-a-branch"
    assert head[:12] in mistake.hint


def test_where_a_tag_and_a_branch_have_one_name_the_tag_is_meant(staged: Deployments) -> None:
    staged.repo.git("branch", "v2", "HEAD")
    assert _pin(staged, "v2") == staged.repo.git("rev-parse", "refs/tags/v2")


def test_mistakes_below_a_pin_say_that_the_file_is_the_pinned_one(staged: Deployments) -> None:
    staged.commit({"workflows/orders.yaml": "workflow: [\n"})
    staged.repo.git("tag", "broken")
    staged.write({"gitopsd.yaml": environments(production="broken"), "workflows/orders.yaml": workflow("orders", 1)})
    with pytest.raises(DiagnosticsError) as caught:
        staged.plan("production")
    (note,) = caught.value.diagnostics[0].related
    assert note.location.path == "gitopsd.yaml"
    assert staged.repo.git("rev-parse", "broken")[:12] in note.message


def test_a_broken_work_tree_does_not_hold_up_a_pinned_environment(staged: Deployments) -> None:
    (staged.repo.path / "workflows/link.yaml").symlink_to("/etc/passwd")
    staged.write({"workflows/orders.yaml": "workflow: [\n"})
    assert _replicas(staged, "production") == 2
    with pytest.raises(DiagnosticsError):
        staged.plan("staging")
