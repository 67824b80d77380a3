"""A repository that gitopsd writes to for long keeps few packs, and loses nothing."""

import subprocess
from pathlib import Path

from gitopsd.model.trees import TreeFile, build_tree
from gitopsd.repo.commit import Identity, write_commit
from gitopsd.repo.refs import RefUpdate, update_ref
from gitopsd.repo.repacking import MOST_PACKS, repack
from gitopsd.repo.repository import open_at

AUTHOR = Identity(name="gitopsd", email="gitopsd@localhost")
REF = "refs/heads/rendered/production"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def packs(folder: Path) -> int:
    return sum(1 for _ in (folder / "objects/pack").glob("*.pack"))


def test_many_commits_come_to_few_packs_and_all_of_them_can_be_read_by_who_had_it_open(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", ".")
    empty = git(tmp_path, "commit-tree", "-m", "first", git(tmp_path, "mktree").strip()).strip()
    git(tmp_path, "update-ref", REF, empty)
    repository, reader = open_at(tmp_path), open_at(tmp_path)
    parent = empty
    for number in range(MOST_PACKS + 10):
        tree = build_tree({f"workers/edge-{number}/release.json": TreeFile(b"%d\n" % number)})
        commit = write_commit(repository, tree, parent=parent, message=f"{number}", author=AUTHOR, now=number)
        update_ref(repository, RefUpdate(ref=REF, new=commit, old=parent), reason="test")
        parent = commit
    before = git(tmp_path, "rev-list", "--objects", "--all")
    assert reader.ref(REF) == parent
    assert repack(repository) > MOST_PACKS
    assert packs(tmp_path) < MOST_PACKS / 2
    assert git(tmp_path, "rev-list", "--objects", "--all") == before
    assert reader.has(commit)
    assert reader.read(commit, "commit")
    git(tmp_path, "fsck", "--strict")
    assert repack(repository) == 0, "what is in order is left alone"
