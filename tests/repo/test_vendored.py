"""Swapping a library into a work tree: all of it or nothing, whenever the process dies."""

import os
import sys
from pathlib import Path

import pytest

from gitopsd.model.trees import TreeFile
from gitopsd.model.vendor import LOCK_FILE
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.vendored import recover, swap_in
from tests.repo.gitrepo import GitRepo

OLD = {"modules/a.yaml": TreeFile(b"module: a\n"), "files/gone.sh": TreeFile(b"#!/bin/sh\n", executable=True)}
NEW = {"modules/a.yaml": TreeFile(b"module: a # newer\n"), "files/come.sh": TreeFile(b"#!/bin/sh\n", executable=True)}
DIED = 77


def _state(root: Path) -> tuple[dict[str, tuple[bytes, bool]], bytes]:
    folder = root / "modules/vendor/acme"
    files = {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file()
    }
    lock = root / LOCK_FILE
    return files, lock.read_bytes() if lock.exists() else b""


def _dies_at(event: int, repository: Repository) -> bool:
    """Whether a process that swaps the new library in, and dies before its nth change of a file, got that far."""
    child = os.fork()
    if child == 0:
        left = event

        def watch(name: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            changes = name in {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}
            if changes or (name == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
                left -= 1
                if left < 0:
                    os._exit(DIED)

        sys.addaudithook(watch)
        swap_in(repository, "acme", NEW, b"new lock")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DIED


def _recover_and_swap(repository: Repository) -> None:
    recover(repository)
    swap_in(repository, "acme", NEW, b"new lock")


def test_a_library_is_swapped_in_whole_with_its_modes(source: GitRepo, repository: Repository) -> None:
    swap_in(repository, "acme", OLD, b"old lock")
    assert _state(source.path) == ({path: tuple(file) for path, file in OLD.items()}, b"old lock")
    swap_in(repository, "acme", NEW, b"new lock")
    assert _state(source.path) == ({path: tuple(file) for path, file in NEW.items()}, b"new lock")
    assert sorted(path.name for path in source.path.iterdir() if path.name.startswith(".")) == [".git"]


@pytest.mark.parametrize("first", [False, True], ids=["again", "for-the-first-time"])
def test_wherever_it_dies_the_next_one_finds_the_old_state_or_the_new(
    source: GitRepo, repository: Repository, *, first: bool
) -> None:
    old = ({}, b"") if first else ({path: tuple(file) for path, file in OLD.items()}, b"old lock")
    new = ({path: tuple(file) for path, file in NEW.items()}, b"new lock")
    ends = []
    for event in range(100):
        if not first:
            swap_in(repository, "acme", OLD, b"old lock")
        if not _dies_at(event, repository):
            break
        assert not source.git("status", "--porcelain", ".gitopsd-vendor")  # `git add` doesn't take it along
        recover(repository)
        ends.append(_state(source.path))
        assert ends[-1] in (old, new), event
        assert not (source.path / ".gitopsd-vendor").exists()
        recover(repository)
        if first and ends[-1] == new:
            (source.path / LOCK_FILE).unlink()
            for path in sorted((source.path / "modules/vendor/acme").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            (source.path / "modules/vendor/acme").rmdir()
    assert _state(source.path) == new
    assert old in ends
    assert new in ends
    assert len(ends) > 10


def test_what_a_person_did_since_is_not_undone(source: GitRepo, repository: Repository) -> None:
    swap_in(repository, "acme", OLD, b"old lock")
    for event in range(100):
        assert _dies_at(event, repository)
        if _state(source.path)[0].get("files/come.sh"):
            break
        recover(repository)
    source.write("modules/vendor/acme/modules/a.yaml", "module: mine\n")
    recover(repository)
    assert _state(source.path)[0]["modules/a.yaml"] == (b"module: mine\n", False)


def test_a_lock_alone_that_changes_is_undone_without_its_folder(source: GitRepo, repository: Repository) -> None:
    swap_in(repository, "acme", NEW, b"old lock")
    for event in range(100):
        if not _dies_at(event, repository):
            break
        recover(repository)
        files, lock = _state(source.path)
        assert files == {path: tuple(file) for path, file in NEW.items()}
        if lock == b"new lock":
            break


@pytest.mark.parametrize("link", ["modules", "modules/vendor", "modules/vendor/acme", ".gitopsd-vendor"])
def test_no_link_leads_it_out_of_the_work_tree(
    source: GitRepo, repository: Repository, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = source.path / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(outside)
    with pytest.raises(RepositoryError):
        _recover_and_swap(repository)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", [".gitopsd-vendor", ".GitOpsD-Vendor"])
def test_what_an_author_committed_is_never_taken_for_half_done_work(
    source: GitRepo, repository: Repository, name: str
) -> None:
    swap_in(repository, "acme", OLD, b"old lock")
    source.write(f"{name}/intent.json", f'{{"library":"acme","tree":"{"0" * 40}","lock":"","replaces":true}}')
    source.write(f"{name}/old/modules/a.yaml", "module: hostile\n")
    source.commit("hostile")
    before = _state(source.path)
    with pytest.raises(RepositoryError, match="is tracked") as caught:
        recover(repository)
    assert "git rm" in caught.value.hint
    assert _state(source.path) == before
    assert (source.path / name / "old/modules/a.yaml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_another_user_left_is_not_moved(source: GitRepo, repository: Repository) -> None:
    (source.path / ".gitopsd-vendor").mkdir(mode=0o700)
    os.chown(source.path / ".gitopsd-vendor", 12345, 12345)
    with pytest.raises(RepositoryError, match="belongs to another user"):
        recover(repository)


def test_a_bare_repository_has_no_place_for_it(bare: Path) -> None:
    with pytest.raises(RepositoryError, match="no work tree"):
        swap_in(open_at(bare), "acme", NEW, b"new lock")
