"""Folders that are trusted are ours, and nobody else could have written to them."""

import os
import stat
from pathlib import Path

import pytest

from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.private_folder import make_private_folder
from gitopsd.repo.repository import open_repository

NOBODY = 12345
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def _make(folder: Path) -> None:
    make_private_folder(folder, way_out="look elsewhere")


def test_it_is_made_for_its_user_alone_and_closed_where_others_could_read(tmp_path: Path) -> None:
    folder = tmp_path / "above/folder"
    _make(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    _make(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o702, 0o1777])
def test_what_others_could_write_to_is_refused_as_it_is(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(RepositoryError, match="can be written to by other users") as caught:
        _make(folder)
    assert str(folder) in caught.value.message
    assert caught.value.hint.endswith("or look elsewhere")
    assert stat.S_IMODE(folder.stat().st_mode) == mode


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_a_link_or_a_file_is_refused(tmp_path: Path, kind: str) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    if kind == "file":
        folder.touch()
    else:
        folder.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.mkdir()
    with pytest.raises(RepositoryError, match="is a link or a file"):
        _make(folder)
    assert elsewhere.exists() == (kind == "link")


@only_root
@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_another_user_has_or_could_swap_is_refused(tmp_path: Path, *, exists: bool) -> None:
    folder = tmp_path / "above" / "folder"
    folder.parent.mkdir()
    if exists:
        folder.mkdir(mode=0o700)
        os.chown(folder, NOBODY, NOBODY)
        with pytest.raises(RepositoryError, match="belongs to another user"):
            _make(folder)
        os.chown(folder, 0, 0)
    os.chown(folder.parent, NOBODY, NOBODY)
    with pytest.raises(RepositoryError, match="belongs to another user"):
        _make(folder)
    assert folder.exists() == exists


def test_below_a_folder_of_everybody_only_a_sticky_one_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(RepositoryError, match="written to by everybody"):
        _make(tmp_path / "folder")
    tmp_path.chmod(0o1777)
    _make(tmp_path / "folder")


@pytest.mark.parametrize("which", ["cache", "locks", "clone"])
@pytest.mark.parametrize("how", [pytest.param("owner", marks=only_root), "link", "mode"])
def test_a_cached_clone_that_others_prepared_runs_nothing(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, how: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    cache = tmp_path / "home/gitopsd"
    open_repository(f"file://{bare}", bare)
    (clone,) = cache.glob("*.git")
    with (clone / "config").open("a") as config:
        config.write(f'[remote "origin"]\n\tuploadpack = "touch {tmp_path}/ran; git-upload-pack"\n')
    folder = {"cache": cache, "locks": cache / "locks", "clone": clone}[which]
    if how == "owner":
        os.chown(folder, NOBODY, NOBODY)
    elif how == "link":
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "moved")
    else:
        folder.chmod(0o770)
    with pytest.raises(RepositoryError) as caught:
        open_repository(f"file://{bare}", bare)
    assert str(folder) in caught.value.message
    assert "XDG_CACHE_HOME" in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_shares_repositories_does_not_open_the_clone(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("[core]\n\tsharedRepository = world\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    open_repository(f"file://{bare}", bare)
    open_repository(f"file://{bare}", bare)
