"""The heads of pull requests, over a remote: kept while they are open, and bounded."""

from pathlib import Path

import pytest

from gitopsd.daemon.configuration import Configuration
from gitopsd.daemon.controller.pull_requests.heads import drop_heads, fetch_head
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.errors import RepositoryError, TooLargeError
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import open_at
from tests.forge.standin import Standin
from tests.repo.gitrepo import git

OURS = "refs/gitopsd/pull-requests/"


@pytest.fixture
def forge(tmp_path: Path) -> Standin:
    return Standin(kind="gitea", folder=tmp_path)


@pytest.fixture
def workspace(tmp_path: Path, forge: Standin) -> Workspace:
    git(tmp_path, "clone", "-q", f"file://{forge.git_url}", "clone")
    repository = open_at(tmp_path / "clone")
    return Workspace(repository=repository, remote=find_remote(repository), configuration=Configuration())


def test_a_head_is_here_under_a_ref_that_follows_it_and_goes_with_its_pull_request(
    workspace: Workspace, forge: Standin
) -> None:
    first = forge.commit("feature", {"a": "1"})
    number = forge.open("feature")
    theirs = f"refs/pull/{number}/head"
    fetch_head(workspace, number, theirs, first)
    assert workspace.repository.ref(f"{OURS}{number}") == first
    second = forge.commit("feature", {"a": "2"})
    forge.notice()
    fetch_head(workspace, number, theirs, second)
    assert workspace.repository.ref(f"{OURS}{number}") == second
    with pytest.raises(RepositoryError, match="is not in the repository"):
        fetch_head(workspace, number, theirs, "a" * 40)
    assert drop_heads(workspace, []) == (number,)
    assert workspace.repository.ref(f"{OURS}{number}") is None


def test_one_that_is_too_large_is_refused_and_leaves_no_ref(workspace: Workspace, forge: Standin) -> None:
    head = forge.commit("feature", {f"files/{number}": f"{number:x}" * 1000 for number in range(2000)})
    number = forge.open("feature")
    with pytest.raises(TooLargeError, match="MiB, packed"):
        fetch_head(workspace, number, f"refs/pull/{number}/head", head, largest=50_000)
    assert workspace.repository.ref(f"{OURS}{number}") is None
    assert not workspace.repository.has(head)
