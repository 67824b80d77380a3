"""A repository as it will be after a push."""

from pathlib import Path

import pytest

from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.incoming import head_branch, lay_out_incoming, open_incoming
from gitopsd.repo.location import path_identity
from gitopsd.repo.repository import open_at
from tests.repo.gitrepo import GitRepo, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


def test_refs_and_objects_are_as_they_will_be(
    folder: Path, bare: Path, source: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.git("push", "-q", str(bare), "HEAD:refs/tags/old")
    before = source.git("rev-parse", "HEAD")
    new = source.commit("second")
    git(tmp_path, "clone", "-q", "--bare", str(source.path), "quarantine")  # has what `bare` lacks
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "quarantine/objects"))
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(bare / "objects"))
    refs = lay_out_incoming(folder, bare, {"refs/heads/main": new, "refs/tags/v1": new, "refs/tags/old": None})
    monkeypatch.undo()
    incoming = open_incoming(folder, bare)
    assert refs == {"refs/heads/main", "refs/tags/v1"}
    assert incoming.ref("HEAD") == incoming.ref("refs/tags/v1") == new
    assert incoming.ref("refs/tags/old") is None
    assert incoming.has(before)
    assert incoming.read(new, "commit")
    assert incoming.identity == path_identity(bare)
    assert open_at(bare).ref("refs/heads/main") == before
    assert not open_at(bare).has(new)


def test_a_repository_without_commits_is_laid_out_too(folder: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "--initial-branch=trunk", "empty.git")
    assert head_branch(tmp_path / "empty.git") == "trunk"
    assert lay_out_incoming(folder, tmp_path / "empty.git", {}) == frozenset()
    with pytest.raises(RepositoryError, match="no commit yet"):
        open_incoming(folder, tmp_path / "empty.git")


def test_a_detached_head_is_on_no_branch(bare: Path) -> None:
    (bare / "HEAD").write_text(git(bare, "rev-parse", "main") + "\n")
    assert head_branch(bare) == ""
