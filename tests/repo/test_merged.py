from pathlib import Path

import pytest

from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.merged import Conflicting, Merged, beside, merge
from gitopsd.repo.repository import Repository
from tests.repo.gitrepo import GitRepo


@pytest.fixture
def aside(repository: Repository, tmp_path: Path) -> Repository:
    folder = tmp_path / "aside"
    folder.mkdir()
    return beside(repository, folder)


def _diverge(source: GitRepo, mine: dict[str, str], theirs: dict[str, str]) -> tuple[str, str]:
    """The base, and a head that goes another way from the commit before."""
    source.git("checkout", "-q", "-b", "feature")
    for path, text in theirs.items():
        source.write(path, text)
    head = source.commit("feature")
    source.git("checkout", "-q", "main")
    for path, text in mine.items():
        source.write(path, text)
    return source.commit("base goes on"), head


def test_the_merge_is_what_git_makes_of_it(source: GitRepo, aside: Repository) -> None:
    base, head = _diverge(source, {"a.txt": "a\n"}, {"b.txt": "b\n"})
    merged = merge(aside, base, head)
    assert isinstance(merged, Merged)
    assert merged.tree == source.git("merge-tree", "--write-tree", base, head)
    assert merged == merge(aside, base, head), "the same two give the same commit"


def test_nothing_is_written_to_the_repository(source: GitRepo, aside: Repository) -> None:
    base, head = _diverge(source, {"a.txt": "a\n"}, {"b.txt": "b\n"})
    before = _all_of(source.path)
    merged = merge(aside, base, head)
    assert isinstance(merged, Merged)
    assert _all_of(source.path) == before
    assert aside.has(merged.commit)


def _all_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_commits_that_go_one_way_make_no_merge(source: GitRepo, aside: Repository) -> None:
    base = source.git("rev-parse", "HEAD")
    source.write("a.txt", "a\n")
    head = source.commit("ahead")
    ahead = merge(aside, base, head)
    assert ahead == Merged(commit=head, tree=source.git("rev-parse", f"{head}^{{tree}}"))
    assert merge(aside, head, base) == ahead, "what is merged already changes nothing"


def test_files_that_both_changed_are_named(source: GitRepo, aside: Repository) -> None:
    base, head = _diverge(source, {"files/run.sh": "mine\n"}, {"files/run.sh": "theirs\n", "b.txt": "b\n"})
    assert merge(aside, base, head) == Conflicting(paths=("files/run.sh",))


def test_commits_without_a_common_history_cannot_be_merged(source: GitRepo, aside: Repository) -> None:
    base = source.git("rev-parse", "HEAD")
    source.git("checkout", "-q", "--orphan", "other")
    source.write("a.txt", "a\n")
    assert merge(aside, base, source.commit("elsewhere")) == Conflicting(paths=())


def test_no_merge_driver_of_the_repository_is_run(source: GitRepo, aside: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    source.git("config", "merge.evil.driver", f"touch {ran}; false")
    source.write(".gitattributes", "* merge=evil\n")
    source.commit("attributes")
    base, head = _diverge(source, {"files/run.sh": "#!/bin/sh\nmine\n"}, {"files/run.sh": "#!/bin/sh\ntheirs\n"})
    merge(aside, base, head)
    assert not ran.exists()
    source.git("checkout", "-q", head)
    with pytest.raises(AssertionError):
        source.git("merge", "-q", base)
    assert ran.exists(), "the driver would have run"


def test_a_shallow_clone_is_told_to_fetch(source: GitRepo, aside: Repository) -> None:
    base = source.git("rev-parse", "HEAD")
    with pytest.raises(RepositoryError, match="can't be merged here"):
        merge(aside, base, "1" * 40)
