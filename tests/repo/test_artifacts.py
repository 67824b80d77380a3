from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitopsd.model.trees import EXECUTABLE, FILE, TREE, build_tree
from gitopsd.repo.artifacts import (
    ArtifactBranch,
    artifact_branch,
    deployments,
    find_deployment,
    find_entry,
    history,
    list_files,
    list_folder,
    read_file,
    read_head,
    root_commit,
)
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RepositoryError, UnknownDeploymentError
from gitopsd.repo.publish import publish
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.trailers import format_message
from tests.repo.gitrepo import GitRepo, deploy, git, trailers


def cordon(repository: Repository, branch: ArtifactBranch) -> str:
    """A commit of the artifact branch that is no deployment."""
    head = repository.ref(branch.ref)
    tree = build_tree({"control.json": (b"{}\n", False)})
    commit = write_commit(repository, tree, parent=head, message=format_message("cordon edge-1", {}), now=99)
    publish(repository, [RefUpdate(ref=branch.ref, new=commit, old=head)], None, reason="cordon")
    return commit


def test_before_the_first_deployment_there_is_no_head(repository: Repository, branch: ArtifactBranch) -> None:
    assert read_head(repository, branch) is None


def test_the_head_knows_its_deployment_and_the_first_commit(repository: Repository, branch: ArtifactBranch) -> None:
    first = deploy(repository, branch, 1)
    second = deploy(repository, branch, 2)
    head = read_head(repository, branch)
    assert head is not None
    assert (head.commit.id, head.commit.parent, head.root_commit) == (second, first, first)
    assert head.deployment == head.commit
    assert head.commit.trailers == trailers(2)
    assert head.commit.subject == "deploy 2"
    assert head.commit.author == "Ada <ada@example.org>"
    assert head.commit.time == datetime.fromtimestamp(2, UTC)


def test_a_head_that_is_no_deployment_still_names_the_last_one(repository: Repository, branch: ArtifactBranch) -> None:
    first = deploy(repository, branch, 1)
    control = cordon(repository, branch)
    head = read_head(repository, branch)
    assert head is not None
    assert head.deployment is not None
    assert (head.commit.id, head.commit.trailers, head.deployment.id) == (control, None, first)
    assert [commit.id for commit in history(repository, control)] == [control, first]
    assert [commit.id for commit in deployments(repository, control)] == [first]


def test_deployments_are_found_by_number_and_by_prefix(repository: Repository, branch: ArtifactBranch) -> None:
    ids = [deploy(repository, branch, number) for number in range(1, 4)]
    for number, commit in enumerate(ids, 1):
        for name in (str(number), commit, commit[:7], commit[:9].upper()):
            assert find_deployment(repository, ids[-1], name).id == commit


@pytest.mark.parametrize("name", ["4", "0", "-1", "", "abcdef0", "v1", "1.0", "HEAD"])
def test_unknown_deployments_are_refused_by_name(repository: Repository, branch: ArtifactBranch, name: str) -> None:
    head = deploy(repository, branch, 1)
    with pytest.raises(UnknownDeploymentError) as raised:
        find_deployment(repository, head, name)
    assert repr(name) in raised.value.message


def test_six_digits_of_a_commit_are_too_few(repository: Repository, branch: ArtifactBranch) -> None:
    head = deploy(repository, branch, 1)
    with pytest.raises(UnknownDeploymentError):
        find_deployment(repository, head, head[:6])


def test_files_folders_and_contents_of_a_tree(repository: Repository) -> None:
    tree = build_tree(
        {
            "workers/a/release.json": (b"{}\n", False),
            "workers/a/jobs/x/files/run": (b"#!", True),
            "workers/b/release.json": (b"[]\n", False),
            "control.json": (b"{}\n", False),
        }
    )
    write_commit(repository, tree, parent=None, message="m\n", now=1)
    assert list_files(repository, tree.id, "workers/a") == {
        "jobs/x/files/run": (EXECUTABLE, tree.entries["workers/a/jobs/x/files/run"].id),
        "release.json": (FILE, tree.entries["workers/a/release.json"].id),
    }
    assert set(list_files(repository, tree.id)) == {path for path, entry in tree.entries.items() if entry.mode != TREE}
    assert list_folder(repository, tree.id, "workers") == {name: tree.entries[f"workers/{name}"] for name in ("a", "b")}
    assert read_file(repository, tree.id, "workers/b/release.json") == b"[]\n"
    for missing in ("workers/c", "control.json/x", "workers"):
        assert read_file(repository, tree.id, missing) is None
    assert list_files(repository, tree.id, "nothing") == list_folder(repository, tree.id, "control.json") == {}
    assert find_entry(repository, tree.id, "workers") == tree.entries["workers"]


def test_links_and_submodules_on_the_artifact_branch_show_by_their_mode(source: GitRepo) -> None:
    tree = source.raw_tree(("120000", b"link", source.blob()), ("160000", b"sub", "1" * 40))
    repository = open_at(source.path)
    assert {path: entry.mode for path, entry in list_files(repository, tree).items()} == {
        "link": 0o120000,
        "sub": 0o160000,
    }
    assert read_file(repository, tree, "link") is None


def test_a_tree_too_deep_to_be_ours_is_an_error(source: GitRepo) -> None:
    tree = source.raw_tree(("100644", b"x", source.blob()))
    for _ in range(80):
        tree = source.raw_tree(("40000", b"d", tree))
    with pytest.raises(RepositoryError, match="folders deep"):
        list_files(open_at(source.path), tree)


def test_a_shallow_clone_does_not_pass_for_the_whole_history(
    repository: Repository, branch: ArtifactBranch, tmp_path: Path
) -> None:
    first = deploy(repository, branch, 1)
    second = deploy(repository, branch, 2)
    git(tmp_path, "clone", "-q", "--depth=1", "--no-single-branch", f"file://{repository.work_tree}", "shallow")
    shallow = open_at(tmp_path / "shallow")
    with pytest.raises(RepositoryError, match="does not reach its first commit") as raised:
        root_commit(shallow, second)
    assert "--unshallow" in raised.value.hint
    assert root_commit(repository, second) == first


def test_a_message_in_another_encoding_is_no_reason_to_fail(source: GitRepo, branch: ArtifactBranch) -> None:
    data = source.git("cat-file", "commit", "HEAD").encode().replace(b"first", b"caf\xe9").replace(b"Ada", b"\xff")
    commit = source.git("hash-object", "-w", "-t", "commit", "--stdin", stdin=data)
    source.git("update-ref", branch.ref, commit)
    head = read_head(open_at(source.path), branch)
    assert head is not None
    assert head.commit.subject == "caf\ufffd"
    assert head.deployment is None


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "a.lock", "/a", "a/", "x\ny"])
def test_bad_branch_names_are_refused(name: str) -> None:
    with pytest.raises(RepositoryError, match="not a valid name"):
        artifact_branch("production", name)
