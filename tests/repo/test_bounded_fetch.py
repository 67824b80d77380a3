"""What a stranger's head may take of the disk, and that nothing of it is left where it takes more."""

import os
import random
import socket
import time
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


def everything(repository: Repository) -> dict[str, int]:
    """All files of the repository, with their sizes."""
    folder = repository.git_dir
    return {str(one.relative_to(folder)): one.stat().st_size for one in folder.rglob("*") if one.is_file()}


def test_what_is_small_enough_is_there_and_no_ref_moves(clone: Repository, remote: Remote, source: GitRepo) -> None:
    before = everything(clone)
    commit = propose(source, {"files/one": MIB // 2})
    assert not clone.has(commit)
    fetch_bounded(clone, remote, HEAD, largest=MIB, deadline=60)
    assert clone.has(commit)
    git(clone.git_dir, "fsck", "--strict", commit)
    new = everything(clone).keys() - before.keys()
    assert new
    assert all(one.startswith("objects/pack/pack-") for one in new)
    fetch_bounded(clone, remote, HEAD, largest=MIB, deadline=60)
    assert everything(clone).keys() == before.keys() | new, "what is there already isn't fetched again"


@pytest.mark.parametrize("sizes", [{"files/one": 8 * MIB}, {f"files/{one}": 4096 for one in range(1000)}])
def test_of_what_is_larger_nothing_is_left(
    clone: Repository, remote: Remote, source: GitRepo, sizes: dict[str, int]
) -> None:
    before = everything(clone)
    commit = propose(source, sizes)
    with pytest.raises(TooLargeError, match="more than 1 MiB"):
        fetch_bounded(clone, remote, HEAD, largest=MIB, deadline=60)
    assert everything(clone) == before
    assert not clone.has(commit)


def test_nothing_is_left_of_one_that_took_too_long(clone: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        git(clone.git_dir, "remote", "set-url", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/fleet.git")
        remote = find_remote(clone)
        assert remote is not None
        before = everything(clone)
        with pytest.raises(RemoteUnreachableError, match="before the deadline"):
            fetch_bounded(clone, remote, HEAD, largest=MIB, deadline=0.5)
    assert everything(clone) == before


def test_what_a_crash_left_goes_later_and_what_another_process_fetches_stays(
    clone: Repository, remote: Remote, source: GitRepo
) -> None:
    propose(source, {"files/one": 100})
    objects = clone.git_dir / "objects"
    dead, alive = objects / "tmp_objdir-gitopsd-dead", objects / "tmp_objdir-gitopsd-alive"
    for one in (dead, alive):
        (one / "pack").mkdir(parents=True)
        (one / "pack/tmp_pack_1").write_bytes(b"half")
    long_ago = time.time() - 2 * 3600
    os.utime(dead, (long_ago, long_ago))
    fetch_bounded(clone, remote, HEAD, largest=MIB, deadline=60)
    assert not dead.exists()
    assert alive.exists()
