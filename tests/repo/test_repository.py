import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository, open_at, open_repository
from tests.repo.gitrepo import GitRepo, git


def test_the_repository_around_the_current_folder_is_found(source: GitRepo) -> None:
    found = open_repository(None, source.path / "workflows")
    assert found.work_tree == source.path
    assert found.git_dir == source.path / ".git"


def test_a_path_is_relative_to_the_current_folder(source: GitRepo) -> None:
    assert open_repository("source", source.path.parent).work_tree == source.path


def test_a_bare_repository_opens_and_has_no_work_tree(bare: Path) -> None:
    assert open_repository(str(bare), bare.parent).work_tree is None
    assert open_repository(None, bare / "refs").git_dir == bare


def test_a_linked_work_tree_shares_objects_and_identity_with_its_repository(source: GitRepo, tmp_path: Path) -> None:
    source.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "other")
    linked = open_repository(None, tmp_path / "linked")
    assert linked.git_dir == source.path / ".git"
    assert linked.identity == open_at(source.path).identity


def test_every_spelling_of_a_path_gives_one_identity(source: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source.path)
    locations = [str(source.path), f"{source.path}/.git", f"{source.path}/../source/", str(tmp_path / "link")]
    assert len({open_repository(location, tmp_path).identity for location in locations}) == 1


def test_a_folder_that_is_no_repository_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no Git repository at or above") as raised:
        open_repository(None, tmp_path)
    assert "--repo" in raised.value.hint
    with pytest.raises(RepositoryError, match="not a Git repository"):
        open_repository(".", tmp_path)
    with pytest.raises(RepositoryError, match="does not exist"):
        open_repository("nowhere", tmp_path)


def test_a_folder_inside_a_repository_is_not_taken_for_it_and_the_hint_names_it(source: GitRepo) -> None:
    with pytest.raises(RepositoryError, match="not a Git repository") as raised:
        open_repository("workflows", source.path)
    assert str(source.path) in raised.value.hint


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    with pytest.raises(RepositoryError, match="no commit yet"):
        open_at(tmp_path / "empty")


def test_a_repository_whose_head_is_unborn_but_has_branches_opens(source: GitRepo) -> None:
    source.git("symbolic-ref", "HEAD", "refs/heads/nowhere")
    assert open_at(source.path).ref("refs/heads/main") is not None


def test_sha256_repositories_are_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "modern")
    with pytest.raises(RepositoryError, match="SHA-1") as raised:
        open_at(tmp_path / "modern")
    assert "SHA-1 repositories only" in raised.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a repository away")
def test_a_repository_of_another_user_names_safe_directory(source: GitRepo) -> None:
    shutil.chown(source.path, user=12345)
    shutil.chown(source.path / ".git", user=12345)
    with pytest.raises(RepositoryError, match="another user") as raised:
        open_at(source.path)
    assert "safe.directory" in raised.value.hint


def test_a_broken_configuration_is_reported_with_its_path(source: GitRepo) -> None:
    source.write(".git/config", "[core\n")
    with pytest.raises(RepositoryError, match="cannot be read"):
        open_at(source.path)


def test_missing_and_damaged_objects_say_fsck(source: GitRepo, repository: Repository) -> None:
    blob = source.git("rev-parse", "HEAD:gitopsd.yaml")
    file = source.path / ".git/objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.write_bytes(b"rubbish")
    for wanted in (blob, "1" * 40):
        with pytest.raises(RepositoryError, match="cannot be read") as raised:
            repository.read(wanted, "blob")
        assert "git fsck" in raised.value.hint


def test_an_object_of_another_kind_is_refused(source: GitRepo, repository: Repository) -> None:
    with pytest.raises(RepositoryError, match="not a blob"):
        repository.read(source.git("rev-parse", "HEAD"), "blob")


def test_an_old_libgit2_is_refused(source: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitopsd.repo.repository._OLDEST_LIBGIT2", (99, 0, 0))
    with pytest.raises(RepositoryError, match="security holes"):
        open_at(source.path)


def test_importing_the_package_and_its_errors_does_not_import_pygit2() -> None:
    modules = "gitopsd.repo, gitopsd.repo.errors, gitopsd.repo.lock, gitopsd.model.trees, gitopsd.repo.location"
    program = f"import sys, {modules}; print('pygit2' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
