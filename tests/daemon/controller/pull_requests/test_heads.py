"""The heads of pull requests, over a remote: kept while they are open, and bounded."""

from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.controller.pull_requests.heads import drop_heads, fetch_head
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.errors import RepositoryError, TooLargeError
from gitopsd.repo.merged import Merged, beside, merge
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import open_at
from tests.forge.standin import Standin
from tests.repo.gitrepo import git


@pytest.fixture
def forge(tmp_path: Path) -> Standin:
    return Standin(kind="gitea", folder=tmp_path)


@pytest.fixture
def workspace(tmp_path: Path, forge: Standin) -> Workspace:
    git(tmp_path, "clone", "-q", f"file://{forge.git_url}", "clone")
    repository = open_at(tmp_path / "clone")
    return Workspace(repository=repository, remote=find_remote(repository), configuration=Configuration())


def everything(workspace: Workspace) -> dict[str, int]:
    """All files of the repository, with their sizes."""
    folder = workspace.repository.git_dir
    return {str(one.relative_to(folder)): one.stat().st_size for one in folder.rglob("*") if one.is_file()}


def test_a_head_lies_beside_the_repository_and_goes_with_its_pull_request(
    workspace: Workspace, forge: Standin, tmp_path: Path
) -> None:
    before = everything(workspace)
    base = forge.repository.head("main")
    first = forge.commit("feature", {"a": "1"})
    number = forge.open("feature")
    theirs = f"refs/pull/{number}/head"
    objects = fetch_head(workspace, number, theirs, first)
    assert objects is not None
    assert not workspace.repository.has(first)
    (tmp_path / "beside").mkdir()
    merged = merge(beside(workspace.repository, tmp_path / "beside", objects=objects), base, first)
    assert isinstance(merged, Merged)
    assert merged.commit == first
    stamp = objects.stat().st_ino
    assert fetch_head(workspace, number, theirs, first) == objects
    assert objects.stat().st_ino == stamp, "what is here isn't fetched again"
    assert fetch_head(workspace, number, theirs, base) is None, "the repository has that one"

    second = forge.commit("feature", {"a": "2"})
    forge.notice()
    assert fetch_head(workspace, number, theirs, second) == objects
    with pytest.raises(RepositoryError, match="is not in the repository"):
        fetch_head(workspace, number, theirs, "a" * 40)
    drop_heads(workspace, [number])
    assert objects.is_dir()
    objects.with_suffix(".incoming").mkdir()
    drop_heads(workspace, [])
    assert everything(workspace) == before


def test_of_one_that_is_too_large_nothing_is_left(workspace: Workspace, forge: Standin) -> None:
    before = everything(workspace)
    head = forge.commit("feature", {f"files/{number}": f"{number:x}" * 1000 for number in range(2000)})
    number = forge.open("feature")
    with pytest.raises(TooLargeError, match="MiB, packed"):
        fetch_head(workspace, number, f"refs/pull/{number}/head", head, largest=50_000)
    assert everything(workspace) == before
