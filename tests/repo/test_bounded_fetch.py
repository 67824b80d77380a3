"""What a stranger's head may take of the disk."""

import random
import socket
from pathlib import Path

import pytest

from gitopsd.repo.bounded_fetch import fetch_bounded
from gitopsd.repo.errors import RemoteUnreachableError, TooLargeError
from gitopsd.repo.remote import Remote, find_remote
from gitopsd.repo.repository import Repository, open_at
from tests.repo.gitrepo import GitRepo, git

MIB = 1 << 20
HEAD = "refs/pull/7/head"


@pytest.fixture
def clone(tmp_path: Path, source: GitRepo) -> Repository:
    """Of a server that a pull request is pushed to afterwards."""
    git(tmp_path, "clone", "-q", "--bare", str(source.path), "server.git")
    source.git("remote", "add", "origin", f"file://{tmp_path / 'server.git'}")
    git(tmp_path, "clone", "-q", f"file://{tmp_path / 'server.git'}", "clone")
    return open_at(tmp_path / "clone")


@pytest.fixture
def remote(clone: Repository) -> Remote:
    found = find_remote(clone)
    assert found is not None
    return found


def propose(source: GitRepo, sizes: dict[str, int]) -> str:
    """A pull request with files of so many bytes, which can't be packed any smaller."""
    chance = random.Random(7)  # noqa: S311 - the same bytes each time
    for path, size in sizes.items():
        source.write(path, chance.randbytes(size))
    commit = source.commit("a pull request")
    source.git("push", "-q", "origin", f"HEAD:{HEAD}")
    return commit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "objects").mkdir()
    return tmp_path / "objects"


def everything(repository: Repository) -> dict[str, int]:
    """All files of the repository, with their sizes."""
    folder = repository.git_dir
    return {str(one.relative_to(folder)): one.stat().st_size for one in folder.rglob("*") if one.is_file()}


def test_what_is_small_enough_is_in_the_folder_alone_and_whole(
    clone: Repository, remote: Remote, source: GitRepo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(clone)
    commit = propose(source, {"files/one": MIB // 2})
    fetch_bounded(clone, remote, HEAD, folder, largest=MIB, deadline=60)
    assert everything(clone) == before
    assert not clone.has(commit)
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(folder))
    git(clone.git_dir, "fsck", "--strict", commit)


@pytest.mark.parametrize("sizes", [{"files/one": 8 * MIB}, {f"files/{one}": 4096 for one in range(1000)}])
def test_of_what_is_larger_no_more_is_written_than_the_limit(
    clone: Repository, remote: Remote, source: GitRepo, folder: Path, sizes: dict[str, int]
) -> None:
    before = everything(clone)
    propose(source, sizes)
    with pytest.raises(TooLargeError, match="more than 1 MiB"):
        fetch_bounded(clone, remote, HEAD, folder, largest=MIB, deadline=60)
    assert everything(clone) == before
    assert sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) <= MIB


def test_one_that_takes_too_long_is_given_up(clone: Repository, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        git(clone.git_dir, "remote", "set-url", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/fleet.git")
        remote = find_remote(clone)
        assert remote is not None
        with pytest.raises(RemoteUnreachableError, match="before the deadline"):
            fetch_bounded(clone, remote, HEAD, folder, largest=MIB, deadline=0.5)
