import os
import socket
from pathlib import Path

import pytest

from gitopsd.repo.commit_source import read_commit, source_id
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.index_stat import read_index_stat
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.source import SourceTree
from gitopsd.repo.source_rules import MAX_RULES_BYTES, MAX_TEXT_BYTES, check_name
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
    target.write_text("edited: true\n")  # so that it has to be read

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


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of work tree files that are opened from now on."""
    names: list[str] = []
    real_open = os.open

    def noting(path: bytes | str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None and not flags & os.O_DIRECTORY:
            names.append(os.fsdecode(path))
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", noting)
    return names


def settle(source: GitRepo) -> None:
    """An index written surely later than the files: as Git has it, those of the same instant are not trusted."""
    old = 1_600_000_000
    for path in source.path.rglob("*"):
        if ".git" not in path.parts and path.is_file():
            os.utime(path, (old, old))
    source.git("update-index", "-q", "--really-refresh")


@pytest.mark.parametrize("version", ["2", "4"])
def test_files_that_git_knows_to_be_unchanged_are_not_opened(
    source: GitRepo, repository: Repository, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    for number in range(20):
        source.write(f"files/deep/{'long' * number}/\u00fc{number}", f"{number}\n")
    head = source.commit()
    source.git("update-index", "--index-version", version)
    settle(source)
    source.write("workflows/orders.yaml", "workflow: orderz\n")  # as long as it was
    names = opened(monkeypatch)
    found = read_work_tree(repository)
    assert names == ["orders.yaml"]
    assert found.files["workflows/orders.yaml"].data == b"workflow: orderz\n"
    committed = read_commit(repository, head)
    assert [path for path in found.files if found.files[path] != committed.files[path]] == ["workflows/orders.yaml"]
    assert found.files["files/run.sh"].data == b"#!/bin/sh\n"


def test_a_file_as_old_as_the_index_is_not_trusted(source: GitRepo) -> None:
    """It could have been changed again in the same tick of the clock, with the same size."""
    index = source.path / ".git" / "index"
    status = (source.path / "gitopsd.yaml").stat()
    blob = source.git("rev-parse", "HEAD:gitopsd.yaml")
    for later, expected in ((-1, None), (0, None), (1, blob)):
        os.utime(index, ns=(0, status.st_mtime_ns + later))
        assert read_index_stat(index).blob_of(b"gitopsd.yaml", status) == expected


def test_edits_right_after_adding_are_seen(source: GitRepo, repository: Repository) -> None:
    for number in range(30):
        source.write("gitopsd.yaml", f"a: {number:04}\n")
        source.git("add", "gitopsd.yaml")
        source.write("gitopsd.yaml", f"b: {number:04}\n")
        assert read_work_tree(repository).files["gitopsd.yaml"].data == f"b: {number:04}\n".encode()


def test_a_file_put_in_the_place_of_another_with_its_size_and_time_is_seen(
    source: GitRepo, repository: Repository
) -> None:
    settle(source)
    target = source.path / "gitopsd.yaml"
    before = target.stat()
    other = source.write("other", "environments: []\n")
    other.replace(target)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_work_tree(repository).files["gitopsd.yaml"].data == b"environments: []\n"


def test_what_is_only_meant_to_be_added_is_read(source: GitRepo, repository: Repository) -> None:
    source.write("workflows/new.yaml", "workflow: new\n")
    source.write("workflows/empty.yaml", "")
    source.git("add", "-N", "workflows/new.yaml", "workflows/empty.yaml")
    settle(source)
    found = read_work_tree(repository).files
    assert (found["workflows/new.yaml"].data, found["workflows/empty.yaml"].data) == (b"workflow: new\n", b"")


@pytest.mark.parametrize("form", ["untracked-cache", "no checksum"])
def test_every_form_of_the_index_gives_the_same_tree(source: GitRepo, form: str) -> None:
    settle(source)
    expected = source_id(open_at(source.path), source.git("rev-parse", "HEAD"))
    if form == "untracked-cache":
        source.git("update-index", "--force-untracked-cache")
    else:
        source.git("-c", "index.skipHash=true", "update-index", "--force-write-index")
    assert read_index_stat(source.path / ".git" / "index").files
    assert read_work_tree(open_at(source.path)).id == expected


def test_a_split_index_knows_no_file(source: GitRepo) -> None:
    settle(source)
    source.git("update-index", "--split-index")
    assert not read_index_stat(source.path / ".git" / "index").files


def test_a_file_whose_committed_content_is_not_here_is_read(source: GitRepo, repository: Repository) -> None:
    settle(source)
    blob = source.git("rev-parse", "HEAD:gitopsd.yaml")
    (source.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert read_work_tree(repository).files["gitopsd.yaml"].data == b"environments: {}\n"


def test_a_linked_work_tree_has_an_index_of_its_own(source: GitRepo, tmp_path: Path) -> None:
    source.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    (tmp_path / "linked" / "gitopsd.yaml").write_text("linked: true\n")
    found = read_work_tree(open_at(tmp_path / "linked"))
    assert found.files["gitopsd.yaml"].data == b"linked: true\n"
    assert found.files["files/run.sh"].executable


@pytest.mark.parametrize("cut", [0, 5, 11, 12, 40, 80, 200, -1])
def test_an_index_cut_short_knows_no_file(source: GitRepo, cut: int) -> None:
    settle(source)
    index = source.path / ".git" / "index"
    assert read_index_stat(index).files
    index.write_bytes(index.read_bytes()[:cut])
    assert not read_index_stat(index).files


@pytest.mark.parametrize("folder", ["", "files/", "files/deep/"])
@pytest.mark.parametrize("name", [".gitignore", ".gitattributes"])
def test_git_s_rules_are_not_read_from_a_link_a_pipe_or_a_huge_file(
    source: GitRepo, repository: Repository, tmp_path: Path, folder: str, name: str
) -> None:
    source.write("files/deep/new.txt", "untracked\r\n")
    (tmp_path / "outside").write_text("new.txt\n")
    place = source.path / folder / name
    place.symlink_to(tmp_path / "outside")
    assert codes(read_work_tree(repository)) == {folder + name: "symlink"}
    place.unlink()
    os.mkfifo(place)  # reading it would wait for ever
    assert codes(read_work_tree(repository)) == {folder + name: "special-file"}
    place.unlink()
    place.write_bytes(b"#" * (MAX_RULES_BYTES + 1))
    found = read_work_tree(repository)
    assert codes(found) == {folder + name: "file-too-large"}
    assert "the limit is 65,536" in found.problems[0].message
    place.write_bytes(b"#" * MAX_RULES_BYTES)
    assert not read_work_tree(repository).problems


@pytest.mark.parametrize(
    "name",
    [".git", ".GIT", "git~1", "GIT~1", ".git ", ".git.", ".Git. .", "git~1.", ".git::$INDEX_ALLOCATION",
     ".GIT::$index_allocation", "git~1:x", ".git\\x"],
)  # fmt: skip
def test_what_some_file_system_takes_for_the_git_folder_is_refused(name: str) -> None:
    problem = check_name("files/", name.encode())[1]
    assert problem is not None
    assert problem.code == "unsafe-name"


@pytest.mark.parametrize("name", [".gitignore", ".github", "git", "git~2", "x.git", ".git-blame", "git~10", ".gitkeep"])
def test_names_that_only_resemble_it_are_taken(name: str) -> None:
    assert check_name("files/", name.encode()) == (f"files/{name}", None)
