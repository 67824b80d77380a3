from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitopsd.agent.githash import Entry, blob_id, read_directory, tree_id

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "release.json": b"{}\n",
    "empty": b"",
    "a": b"a",
    "a.b/c": b"sorts before a/ would",
    "a-b": b"and this before both",
    "ab/c/d/e": b"deep",
    "ab0": b"after the directory ab/",
    "ünïcode/ß": "ß".encode(),
    "jobs/orders.collect.0/job.json": b"\0binary\xff",
}


def git(directory: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, check=True, env=environment)
    return done.stdout.decode().strip()


def write(directory: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name.endswith("e") else 0o644)


def git_tree(directory: Path) -> str:
    git(directory, "init", "-q", "--object-format=sha1")
    git(directory, "add", "-A", ".")
    return git(directory, "write-tree")


def test_a_directory_hashes_as_git_hashes_it(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    entries = read_directory(tmp_path)
    assert tree_id(entries) == git_tree(tmp_path)
    assert {entry.path for entry in entries} == set(FILES)


def test_the_order_of_entries_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    entries = read_directory(tmp_path)
    assert tree_id(entries[::-1]) == tree_id(entries)


name = st.text(st.sampled_from("ab0-._ßZ"), min_size=1, max_size=4).filter(lambda text: text not in (".", ".."))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.sets(st.lists(name, min_size=1, max_size=3).map(tuple), min_size=1, max_size=12))
def test_any_names_sort_as_git_sorts_them(
    tmp_path_factory: pytest.TempPathFactory, paths: set[tuple[str, ...]]
) -> None:
    free = {path for path in paths if not any(other != path and other[: len(path)] == path for other in paths)}
    directory = tmp_path_factory.mktemp("names")
    write(directory, {"/".join(path): b"x" for path in free})
    assert tree_id(read_directory(directory)) == git_tree(directory)


def test_a_symbolic_link_is_hashed_as_a_link_and_never_followed(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "link").symlink_to("/etc/passwd")
    entries = {entry.path: entry for entry in read_directory(tmp_path)}
    assert entries["link"] == Entry("link", "120000", blob_id(b"/etc/passwd"))
    assert tree_id(entries.values()) == git_tree(tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o4755, 0o640])
def test_a_mode_that_git_would_not_write_changes_the_tree(tmp_path: Path, mode: int) -> None:
    write(tmp_path, FILES)
    before = tree_id(read_directory(tmp_path))
    (tmp_path / "a").chmod(mode)
    assert tree_id(read_directory(tmp_path)) != before


def test_a_pipe_in_a_release_is_seen_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [entry.path for entry in read_directory(tmp_path)] == ["pipe"]


def test_a_path_that_is_file_and_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="is a file as well"):
        tree_id([Entry("a", "100644", "0" * 40), Entry("a/b", "100644", "0" * 40)])
