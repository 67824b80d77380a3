from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.model.trees import EXECUTABLE, FILE, TREE, Graft, TreeFile, build_tree, object_id, parse_tree
from tests.repo.gitrepo import GitRepo

NAMES = st.text("ab.-0é", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join), st.tuples(st.binary(max_size=40), st.booleans()), max_size=12
).map(lambda files: {path: file for path, file in files.items() if not any(o.startswith(path + "/") for o in files)})


@settings(max_examples=40)
@given(files=FILES)
def test_ids_are_those_of_git_write_tree(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, tuple[bytes, bool]]
) -> None:
    repo = GitRepo(tmp_path_factory.mktemp("repo") / "r")
    lines = b"".join(
        b"%s %s\t%s\0" % (b"100755" if executable else b"100644", repo.blob(data).encode(), path.encode())
        for path, (data, executable) in files.items()
    )
    repo.git("update-index", "-z", "--index-info", stdin=lines)
    assert build_tree(files).id == repo.git("write-tree")


@given(files=FILES)
def test_the_order_of_files_does_not_matter(files: dict[str, tuple[bytes, bool]]) -> None:
    backwards = dict(reversed(files.items()))
    assert build_tree(backwards).id == build_tree(files).id
    assert build_tree(backwards).objects.keys() == build_tree(files).objects.keys()


def test_every_path_has_its_entry_and_every_object_its_id() -> None:
    built = build_tree({"a/b/run": (b"x", True), "a/c": TreeFile(b"y")})
    assert {path: entry.mode for path, entry in built.entries.items()} == {
        "a": TREE, "a/b": TREE, "a/b/run": EXECUTABLE, "a/c": FILE,
    }  # fmt: skip
    assert all(object_id(*item) == id_ for id_, item in built.objects.items())
    assert set(built.objects) == {entry.id for entry in built.entries.values()} | {built.id}


def test_a_graft_gives_the_same_tree_as_its_content() -> None:
    whole = build_tree({"workers/a/x": (b"1", False), "workers/b/y": (b"2", True), "top": (b"3", False)})
    grafted = build_tree(
        {
            "workers/a": Graft(id=whole.entries["workers/a"].id),
            "workers/b/y": Graft(id=whole.entries["workers/b/y"].id, mode=EXECUTABLE),
            "top": (b"3", False),
        }
    )
    assert grafted.id == whole.id
    assert grafted.grafts == {whole.entries["workers/a"].id, whole.entries["workers/b/y"].id}
    assert not grafted.grafts & set(grafted.objects)


def test_names_sort_as_git_sorts_folders() -> None:
    built = build_tree({"a.b": (b"", False), "a/x": (b"", False), "a0": (b"", False)})
    assert [name for _, name, _ in parse_tree(built.objects[built.id].data)] == [b"a.b", b"a", b"a0"]


def test_the_empty_tree_is_gits_empty_tree() -> None:
    assert build_tree({}).id == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "a/../b", "./a", ".git/config", "a/.Git/x", "a\0b"])
def test_paths_that_git_cannot_hold_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be a path"):
        build_tree({path: (b"", False)})


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_where_another_path_needs_a_folder_is_refused(order: int) -> None:
    files: dict[str, tuple[bytes, bool]] = dict([("a", (b"", False)), ("a/b", (b"", False))][::order])
    with pytest.raises(ValueError, match="as a folder"):
        build_tree(files)


@pytest.mark.parametrize("data", [b"100644 x\0short", b"100644", b"abc x\0" + b"1" * 20, b"100644 x"])
def test_bytes_that_are_no_tree_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several parsers speak here
        parse_tree(data)


def test_trees_are_computed_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_tree({"a": (b"", False)})
    assert not list(tmp_path.iterdir())
