import pytest

from gitopsd.model.trees import object_id
from gitopsd.repo.commit import Identity, commit_data
from gitopsd.repo.errors import RepositoryError, UnknownRevisionError
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.revision import default_branch, is_ancestor, resolve_commit
from tests.repo.gitrepo import GitRepo


def test_branches_tags_prefixes_and_relatives_resolve_to_commits(source: GitRepo, repository: Repository) -> None:
    first = source.git("rev-parse", "HEAD")
    source.git("tag", "-a", "-m", "annotated", "v1.0")
    second = source.commit("second")
    names = {
        "HEAD": second,
        "main": second,
        "v1.0": first,
        first[:8]: first,
        "HEAD~1": first,
        "refs/heads/main": second,
    }
    assert {name: resolve_commit(repository, name) for name in names} == names


@pytest.mark.parametrize("name", ["nope", "", "HEAD~99", "deadbeef", "-x", "main:workflows", ":/first", "HEAD^{/first}",
                                  "main..HEAD", "a b", "HEAD\n", "v9", "HEAD^{tree}"])  # fmt: skip
def test_what_names_no_commit_is_an_error_that_repeats_the_name(repository: Repository, name: str) -> None:
    with pytest.raises(UnknownRevisionError) as raised:
        resolve_commit(repository, name)
    assert repr(name) in raised.value.message


def test_a_name_that_is_a_branch_and_a_tag_at_different_commits_is_ambiguous(
    source: GitRepo, repository: Repository
) -> None:
    source.git("tag", "release")
    source.git("branch", "release")
    assert resolve_commit(repository, "release") == source.git("rev-parse", "HEAD")
    source.commit("second")
    source.git("branch", "-f", "release")
    with pytest.raises(UnknownRevisionError, match="both a tag and a branch"):
        resolve_commit(repository, "release")
    assert resolve_commit(repository, "refs/tags/release") != resolve_commit(repository, "refs/heads/release")


def test_a_prefix_of_two_objects_is_ambiguous(source: GitRepo, repository: Repository) -> None:
    tree, ada = source.git("rev-parse", "HEAD^{tree}"), Identity(name="Ada", email="ada@example.org")
    seen: dict[str, bytes] = {}
    for now in range(100_000):
        data = commit_data(tree=tree, parent=None, message="twin\n", author=ada, now=now)
        prefix = object_id("commit", data)[:4]
        if prefix in seen:
            break
        seen[prefix] = data
    for twin in (seen[prefix], data):
        source.git("hash-object", "-w", "-t", "commit", "--stdin", stdin=twin)
    with pytest.raises(UnknownRevisionError, match="does not name one commit"):
        resolve_commit(repository, prefix)


def test_the_default_source_branch_is_the_one_head_is_on(source: GitRepo, repository: Repository) -> None:
    assert default_branch(repository) == "main"
    source.git("switch", "-q", "-c", "next/one")
    assert default_branch(repository) == "next/one"


def test_a_detached_head_gives_no_default_source_branch(source: GitRepo, repository: Repository) -> None:
    source.git("switch", "-q", "--detach")
    with pytest.raises(RepositoryError, match="on no branch") as raised:
        default_branch(repository)
    assert "source_branch" in raised.value.hint


def test_an_unborn_head_names_the_branches_there_are(source: GitRepo) -> None:
    source.git("symbolic-ref", "HEAD", "refs/heads/nowhere")
    with pytest.raises(RepositoryError, match="there are: main"):
        default_branch(open_at(source.path))


def test_ancestry(source: GitRepo, repository: Repository) -> None:
    first = source.git("rev-parse", "HEAD")
    second = source.commit("second")
    assert is_ancestor(repository, first, second)
    assert is_ancestor(repository, first, first)
    assert not is_ancestor(repository, second, first)
