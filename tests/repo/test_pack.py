from pathlib import Path

import pygit2
import pytest

from gitopsd.model.trees import GitObject, Graft, build_tree, object_id
from gitopsd.repo.commit import Identity, write_commit
from gitopsd.repo.errors import GitCommandError, RepositoryError
from gitopsd.repo.pack import write_objects
from gitopsd.repo.repository import Repository, open_at
from tests.repo.gitrepo import GitRepo, git

ADA = Identity(name="Ada", email="ada@example.org")
FILES: dict[str, tuple[bytes, bool]] = {
    f"workers/w{number}/jobs/{size}": (bytes([number]) * size, bool(number % 2))
    for number in range(20)
    for size in (0, 1, 15, 16, 2047, 2048, 40_000)
}


def packs(repository: Repository) -> set[Path]:
    return set((repository.git_dir / "objects/pack").glob("*.pack"))


def loose(repository: Repository) -> int:
    return len(list((repository.git_dir / "objects").glob("??/*")))


def test_a_tree_becomes_one_pack_that_git_accepts_and_pygit2_sees(repository: Repository) -> None:
    before, already_open = loose(repository), open_at(repository.git_dir)
    tree = build_tree(FILES)
    assert write_objects(repository, tree.objects) == len(tree.objects)
    assert (len(packs(repository)), loose(repository)) == (1, before)
    for opened in (repository, already_open):
        assert all(opened.read(id_, item.kind) == item.data for id_, item in tree.objects.items())
    git(repository.git_dir, "fsck", "--strict", "--no-dangling")
    git(repository.git_dir, "ls-tree", "-r", tree.id)
    assert git(repository.git_dir, "cat-file", "blob", tree.entries["workers/w3/jobs/2048"].id) == "\3" * 2048


def test_nothing_is_written_when_nothing_is_new(repository: Repository) -> None:
    tree = build_tree(FILES)
    write_objects(repository, tree.objects)
    before = packs(repository)
    assert write_objects(repository, tree.objects) == 0
    assert write_objects(open_at(repository.git_dir), tree.objects) == 0
    assert packs(repository) == before


def test_only_what_the_repository_lacks_is_written_loose_objects_of_others_included(
    source: GitRepo, repository: Repository
) -> None:
    source.blob(b"known\n")
    tree = build_tree({"a": (b"known\n", False), "b": (b"new\n", False)})
    assert write_objects(repository, tree.objects) == 2  # the tree and b


def test_a_pack_written_by_another_process_since_is_not_written_again(repository: Repository) -> None:
    other, tree = open_at(repository.git_dir), build_tree(FILES)
    assert pygit2.Oid(hex=tree.id) not in repository.git.odb
    write_objects(other, tree.objects)
    assert write_objects(repository, tree.objects) == 0


def test_an_object_under_a_wrong_id_is_not_stored_under_it(repository: Repository) -> None:
    write_objects(repository, {"1" * 40: GitObject("blob", b"x")})
    with pytest.raises(RepositoryError):
        repository.read("1" * 40, "blob")


def test_a_tree_that_names_what_does_not_exist_is_refused(repository: Repository) -> None:
    tree = build_tree({"workers/a": Graft(id="2" * 40)})
    with pytest.raises(RepositoryError, match="2222"):
        write_commit(repository, tree, parent=None, message="m\n", author=ADA, now=1)
    with pytest.raises(GitCommandError):
        write_objects(repository, tree.objects)
    assert not packs(repository)


def test_the_same_arguments_give_the_same_commit(repository: Repository) -> None:
    ids = {write_commit(repository, build_tree(FILES), parent=None, message="m\n", author=ADA, now=7) for _ in range(2)}
    assert len(ids) == 1
    git(repository.git_dir, "update-ref", "refs/heads/x", ids.pop())
    git(repository.git_dir, "fsck", "--strict")
    assert git(repository.git_dir, "log", "-1", "--format=%an|%ae|%ct|%s", "x") == "Ada|ada@example.org|7|m"


@pytest.mark.parametrize("name", ["Eve <eve@example.org>\ntree 0", "", "<>", "\x00", "…, ."])
def test_hostile_identities_stay_inside_their_field(repository: Repository, name: str) -> None:
    commit = write_commit(
        repository, build_tree({}), parent=None, message="m\n", author=Identity(name=name, email=name), now=1
    )
    git(repository.git_dir, "update-ref", "refs/heads/x", commit)
    git(repository.git_dir, "fsck", "--strict")


def test_a_failed_pack_leaves_a_message_of_git_and_no_object(repository: Repository) -> None:
    bad = b"not a tree"
    with pytest.raises(GitCommandError, match="index-pack") as raised:
        write_objects(repository, {object_id("tree", bad): GitObject("tree", bad)})
    assert raised.value.exit_code
    assert not packs(repository)
