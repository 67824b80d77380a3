import os
import socket
from pathlib import Path

import pytest

from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.source import SourceTree
from gitopsd.repo.source_rules import MAX_TEXT_BYTES
from gitopsd.repo.worktree_source import read_work_tree
from tests.repo.gitrepo import GitRepo


def codes(found: SourceTree) -> dict[str, str]:
    return {problem.path: problem.code for problem in found.problems}


def test_a_clean_work_tree_reads_the_same_as_its_commit(source: GitRepo, repository: Repository) -> None:
    source.write("files/deep/er/\u00fcber.txt", "x")
    head = source.commit()
    work_tree, commit = read_work_tree(repository), read_commit(repository, head)
    assert dict(work_tree.files) == dict(commit.files)
    assert (work_tree.id, work_tree.commit, work_tree.problems) == (commit.id, None, ())


def test_uncommitted_edits_additions_and_removals_are_seen(source: GitRepo, repository: Repository) -> None:
    source.write("gitopsd.yaml", "edited: true\n")
    source.write("workflows/new.yaml", "workflow: new\n")
    (source.path / "workflows/orders.yaml").unlink()
    (source.path / "files/run.sh").chmod(0o644)
    found = read_work_tree(repository)
    assert list(found.files) == ["files/run.sh", "gitopsd.yaml", "workflows/new.yaml"]
    assert found.files["gitopsd.yaml"].data == b"edited: true\n"
    assert not found.files["files/run.sh"].executable
    source.git("add", "-A")
    assert found.id == read_commit(repository, source.commit()).id


def test_ignored_files_are_left_out_unless_tracked(source: GitRepo, repository: Repository) -> None:
    source.write(".gitignore", "*.log\nfiles/build/\n")
    source.write("files/build/kept", "tracked\n")
    source.git("add", "-f", "files/build/kept")
    source.write("files/build/dropped", "x")
    source.write("files/trace.log", "x")
    source.write("files/.gitignore", "secret\n")
    source.write("files/secret", "x")
    source.write(".git/info/exclude", "scratch\n")
    source.write("files/scratch", "x")
    assert list(read_work_tree(repository).files) == [
        "files/.gitignore", "files/build/kept", "files/run.sh", "gitopsd.yaml", "workflows/orders.yaml",
    ]  # fmt: skip


def test_symbolic_links_are_refused_and_never_followed(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.yaml").write_text("secret\n")
    (source.path / "modules").symlink_to(tmp_path / "outside")
    (source.path / "files/link").symlink_to("/etc/passwd")
    (source.path / "workflows/orders.yaml").unlink()
    (source.path / "workflows/orders.yaml").symlink_to(tmp_path / "outside/secret.yaml")
    found = read_work_tree(repository)
    assert codes(found) == {"files/link": "symlink", "modules": "symlink", "workflows/orders.yaml": "symlink"}
    assert b"secret" not in b"".join(file.data for file in found.files.values())


def test_a_link_put_in_place_of_a_file_while_reading_is_not_followed(
    source: GitRepo, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open
    target = source.path / "gitopsd.yaml"

    def swap_then_open(path: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        if path == b"gitopsd.yaml":
            target.unlink()
            target.symlink_to("/etc/passwd")
        return real_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swap_then_open)
    assert codes(read_work_tree(repository)) == {"gitopsd.yaml": "unreadable-file"}


def test_pipes_sockets_and_nested_repositories_are_refused_without_blocking(
    source: GitRepo, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(source.path / "files/pipe")
    monkeypatch.chdir(source.path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("files/socket")
    GitRepo(source.path / "modules/other")
    expected = {"files/pipe": "special-file", "files/socket": "special-file", "modules/other": "submodule"}
    assert codes(read_work_tree(repository)) == expected


def test_a_registered_submodule_is_refused(source: GitRepo, repository: Repository) -> None:
    commit = source.git("rev-parse", "HEAD")
    source.git("update-index", "--add", "--cacheinfo", f"160000,{commit},modules/sub")
    (source.path / "modules/sub").mkdir(parents=True)
    assert codes(read_work_tree(repository)) == {"modules/sub": "submodule"}


def test_hostile_names_collisions_and_sizes_are_refused_as_in_a_commit(source: GitRepo, repository: Repository) -> None:
    (Path(os.fsdecode(os.fsencode(source.path) + b"/files/caf\xe9"))).write_text("x")
    source.write("files/a\nb", "x")
    source.write("files/Same", "x")
    source.write("files/same", "x")
    source.write("workflows/big.yaml", b"x" * (MAX_TEXT_BYTES + 1))
    expected = {
        "files/caf\\xe9": "non-utf8-name",
        "files/a\\nb": "unprintable-name",
        "files/same": "name-collision",
        "workflows/big.yaml": "file-too-large",
    }
    assert codes(read_work_tree(repository)) == expected
    assert codes(read_commit(repository, source.commit())) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_a_problem(source: GitRepo, repository: Repository) -> None:
    (source.path / "gitopsd.yaml").chmod(0)
    assert codes(read_work_tree(repository)) == {"gitopsd.yaml": "unreadable-file"}


@pytest.mark.parametrize("attributes", ["* text=auto eol=crlf\n", "*.yaml text eol=crlf\n", "*.yaml ident\n"])
def test_line_endings_and_keywords_are_read_as_they_would_be_committed(
    source: GitRepo, repository: Repository, attributes: str
) -> None:
    source.write(".gitattributes", attributes)
    source.write("workflows/orders.yaml", "workflow: orders\n# $Id$\n")
    head = source.commit()
    source.git("rm", "-rq", "--cached", ".")
    source.git("reset", "-q", "--hard")
    assert (source.path / "workflows/orders.yaml").read_bytes() != b"workflow: orders\n# $Id$\n"
    work_tree, commit = read_work_tree(repository), read_commit(repository, head)
    assert dict(work_tree.files) == dict(commit.files)
    assert work_tree.id == commit.id


def test_a_carriage_return_that_git_would_keep_is_kept(source: GitRepo, repository: Repository) -> None:
    source.write("files/windows.txt", b"a\r\nb\r\n")
    assert read_work_tree(repository).files["files/windows.txt"].data == b"a\r\nb\r\n"


def test_where_the_file_system_has_no_modes_the_index_decides(source: GitRepo) -> None:
    source.git("config", "core.fileMode", "false")
    (source.path / "files/run.sh").chmod(0o644)
    assert read_work_tree(open_at(source.path)).files["files/run.sh"].executable


def test_a_bare_repository_has_no_work_tree_to_read(bare: Path) -> None:
    with pytest.raises(RepositoryError, match="bare"):
        read_work_tree(open_at(bare))


def test_a_damaged_index_is_an_error(source: GitRepo) -> None:
    source.write(".git/index", b"rubbish")
    with pytest.raises(RepositoryError, match="index"):
        read_work_tree(open_at(source.path))
