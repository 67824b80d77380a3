from pathlib import Path

import pytest

from gitopsd.repo.artifacts import ArtifactBranch
from gitopsd.repo.cache import _credentials
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RemoteUnreachableError, RepositoryError
from gitopsd.repo.location import parse_url
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import open_at, open_repository
from gitopsd.repo.revision import default_branch, resolve_commit
from tests.repo.gitrepo import GitRepo, deploy, git


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_url_is_served_from_a_private_cached_clone(source: GitRepo, bare: Path, cache: Path) -> None:
    repository = open_repository(f"file://{bare}", bare)
    assert repository.identity == open_at(bare).identity
    assert repository.work_tree is None
    assert repository.git_dir.is_relative_to(cache / "gitopsd")
    assert (cache / "gitopsd").stat().st_mode & 0o077 == 0
    head = source.git("rev-parse", "HEAD")
    for name in ("main", "HEAD", head[:8], "main~0"):
        assert resolve_commit(repository, name) == head
    assert default_branch(repository) == "main"
    assert "gitopsd.yaml" in read_commit(repository, head).files


def test_each_opening_fetches_what_is_new_and_drops_what_is_gone(source: GitRepo, bare: Path, cache: Path) -> None:
    source.git("push", "-q", "origin", "main:old")
    open_repository(f"file://{bare}", bare)
    new = source.commit("second")
    source.git("tag", "v2")
    source.git("push", "-q", "--tags", "origin", "main", ":old")
    repository = open_repository(f"file://{bare}/", bare)
    assert resolve_commit(repository, "main") == resolve_commit(repository, "v2") == new
    with pytest.raises(RepositoryError):
        resolve_commit(repository, "old")
    assert len(list((cache / "gitopsd").glob("*.git"))) == 1


def test_the_artifact_branch_of_a_url_is_deployed_to_through_the_cache(bare: Path, branch: ArtifactBranch) -> None:
    repository = open_repository(f"file://{bare}", bare)
    remote = find_remote(repository)
    fetch_artifacts(repository, branch, remote)
    commit = deploy(repository, branch, 1, remote=remote)
    assert open_at(bare).ref(branch.ref) == commit
    again = open_repository(f"file://{bare}", bare)
    fetch_artifacts(again, branch, remote)
    assert again.ref(branch.ref) == commit


def test_a_repository_that_is_not_there_leaves_no_half_clone_that_confuses_later(
    source: GitRepo, tmp_path: Path, cache: Path
) -> None:
    url = f"file://{tmp_path}/late.git"
    with pytest.raises(RemoteUnreachableError, match=r"late\.git"):
        open_repository(url, tmp_path)
    with pytest.raises(RemoteUnreachableError, match=r"late\.git"):  # not that it has no commit
        open_repository(url, tmp_path, may_be_away=True)
    git(tmp_path, "clone", "-q", "--bare", str(source.path), "late.git")
    assert resolve_commit(open_repository(url, tmp_path), "main") == source.git("rev-parse", "HEAD")
    assert not list((cache / "gitopsd").glob("new-*"))


def test_empty_and_sha256_repositories_behind_a_url_are_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    with pytest.raises(RepositoryError, match="no commit yet"):
        open_repository(f"file://{tmp_path}/empty.git", tmp_path)
    waited_for = open_repository(f"file://{tmp_path}/empty.git", tmp_path, may_be_empty=True)
    with pytest.raises(RepositoryError, match="no commit yet"):
        default_branch(waited_for)
    modern = tmp_path / "modern"
    git(tmp_path, "init", "-q", "--object-format=sha256", str(modern))
    git(modern, "commit", "-q", "--allow-empty", "-m", "x")
    with pytest.raises(RepositoryError, match="SHA-1"):
        open_repository(f"file://{modern}", tmp_path)


def test_a_url_that_names_no_usable_protocol_never_reaches_git(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(RepositoryError, match="protocol"):
        open_repository("ext::touch-something", tmp_path)
    assert not cache.exists()


def test_credentials_go_to_git_by_its_environment_alone() -> None:
    url = parse_url("https://user:secret@example.org/fleet.git")
    assert "secret" in _credentials(url)["GIT_CONFIG_KEY_0"]
    assert _credentials(url)["GIT_CONFIG_VALUE_0"] == "https://example.org/fleet.git"
    assert _credentials(parse_url("git@example.org:fleet.git")) == {}


def test_a_repository_over_ssh_is_opened_with_the_key_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\nexit 255\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    for variable in ("GIT_SSH", "GIT_SSH_COMMAND"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(RepositoryError):
        open_repository("ssh://git@git.example/fleet.git", tmp_path, ssh_identity="/etc/gitopsd/the key")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:3] == ["-i", "/etc/gitopsd/the key", "-oBatchMode=yes"]

    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F chosen")
    with pytest.raises(RepositoryError):
        open_repository("ssh://git@git.example/fleet.git", tmp_path, ssh_identity="/etc/gitopsd/the key")
    assert (tmp_path / "asked").read_text().splitlines()[:2] == ["-F", "chosen"]
