import os
import unicodedata

import pytest

from gitopsd.repo import source_rules
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository, _KnownObjects, open_at
from gitopsd.repo.source import SourceTree
from gitopsd.repo.source_rules import MAX_FILE_BYTES, MAX_TEXT_BYTES
from tests.repo.gitrepo import GitRepo


def read(repo: GitRepo, tree: str) -> SourceTree:
    return read_commit(open_at(repo.path), repo.commit_tree(tree))


def codes(found: SourceTree) -> dict[str, str]:
    return {problem.path: problem.code for problem in found.problems}


def test_only_the_folders_that_matter_are_read_with_content_mode_and_blob_id(
    source: GitRepo, repository: Repository
) -> None:
    head = source.git("rev-parse", "HEAD")
    found = read_commit(repository, head)
    assert list(found.files) == ["files/run.sh", "gitopsd.yaml", "workflows/orders.yaml"]
    script = found.files["files/run.sh"]
    assert (script.data, script.executable) == (b"#!/bin/sh\n", True)
    assert script.blob == source.git("rev-parse", "HEAD:files/run.sh")
    assert not found.files["gitopsd.yaml"].executable
    assert (found.commit, found.problems) == (head, ())


def test_a_commit_that_changes_nothing_of_ours_has_the_same_source_id(source: GitRepo, repository: Repository) -> None:
    before = read_commit(repository, source.git("rev-parse", "HEAD"))
    source.write("README.md", "other words\n")
    after = read_commit(repository, source.commit())
    source.write("files/run.sh", "#!/bin/sh\n", executable=False)
    later = read_commit(repository, source.commit())
    assert before.id == after.id != later.id


def test_the_source_id_is_the_tree_id_git_gives_those_entries(source: GitRepo, repository: Repository) -> None:
    kept = [line for line in source.git("ls-tree", "HEAD").splitlines() if "README" not in line]
    expected = source.git("mktree", stdin="\n".join(kept).encode() + b"\n")
    assert read_commit(repository, source.git("rev-parse", "HEAD")).id == expected


def test_files_are_immutable(repository: Repository, source: GitRepo) -> None:
    with pytest.raises(TypeError):
        read_commit(repository, source.git("rev-parse", "HEAD")).files["x"] = None  # type: ignore[index]


def test_nothing_is_read_through_the_work_tree(source: GitRepo, repository: Repository) -> None:
    source.write("gitopsd.yaml", "edited: true\n")
    assert read_commit(repository, source.git("rev-parse", "HEAD")).files["gitopsd.yaml"].data == b"environments: {}\n"


@pytest.mark.parametrize(
    ("mode", "code"), [("120000", "symlink"), ("160000", "submodule"), ("10644", "special-file"), ("0", "special-file")]
)
@pytest.mark.parametrize("place", ["gitopsd.yaml", "files", "workflows/x", "files/a/b"])
def test_entries_that_are_neither_file_nor_folder_are_refused_and_not_read(
    source: GitRepo, mode: str, code: str, place: str
) -> None:
    tree = source.blob(b"/etc/passwd")
    for depth, name in enumerate(reversed(place.split("/"))):
        tree = source.raw_tree((mode if depth == 0 else "40000", name.encode(), tree))
    found = read(source, tree)
    assert codes(found) == {place: code}
    assert not found.files
    assert found.problems[0].hint


@pytest.mark.parametrize(
    ("name", "shown", "code"),
    [
        (b"..", "..", "unsafe-name"),
        (b".", ".", "unsafe-name"),
        (b"", "", "unsafe-name"),
        (b"/etc/passwd", "/etc/passwd", "unsafe-name"),
        (b"a/../../b", "a/../../b", "unsafe-name"),
        (b".git", ".git", "unsafe-name"),
        (b".GIT", ".GIT", "unsafe-name"),
        (b"caf\xe9.yaml", "caf\\xe9.yaml", "non-utf8-name"),
        (b"a\nb", "a\\nb", "unprintable-name"),
        (b"a\x1b[31mb", "a\\x1b[31mb", "unprintable-name"),
        ("a\u202eb".encode(), "a\\u202eb", "unprintable-name"),
        ("a\u200bb".encode(), "a\\u200bb", "unprintable-name"),
    ],
)
def test_names_that_lead_astray_are_refused_and_shown_escaped(
    source: GitRepo, name: bytes, shown: str, code: str
) -> None:
    tree = source.raw_tree(("40000", b"files", source.raw_tree(("100644", name, source.blob()))))
    found = read(source, tree)
    assert codes(found) == {f"files/{shown}": code}
    assert not found.files


def test_a_folder_with_a_bad_name_is_not_entered(source: GitRepo) -> None:
    inner = source.raw_tree(("100644", b"hooks", source.blob()))
    found = read(source, source.raw_tree(("40000", b"files", source.raw_tree(("40000", b".git", inner)))))
    assert codes(found) == {"files/.git": "unsafe-name"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("A.yaml", "a.yaml"), ("stra\u00dfe", "strasse"), ("\u00e9", unicodedata.normalize("NFD", "\u00e9")), ("x", "x")],
)
def test_names_that_some_file_systems_take_for_one_are_refused(source: GitRepo, one: str, other: str) -> None:
    entries = [("100644", name.encode(), source.blob(name.encode())) for name in (one, other)]
    found = read(source, source.raw_tree(("40000", b"workflows", source.raw_tree(*entries))))
    assert [problem.code for problem in found.problems] == ["name-collision"]
    assert len(found.files) <= 1


def test_folders_collide_too_and_so_do_variants_of_our_own_folders(source: GitRepo) -> None:
    leaf = source.raw_tree(("100644", b"x", source.blob()))
    both = source.raw_tree(("40000", b"Jobs", leaf), ("40000", b"jobs", leaf))
    found = read(
        source, source.raw_tree(("40000", b"Workflows", leaf), ("40000", b"files", both), ("40000", b"workflows", leaf))
    )
    assert codes(found) == {"files/jobs": "name-collision", "workflows": "name-collision"}


def test_a_folder_of_ours_in_other_case_alone_is_none_of_our_business(source: GitRepo) -> None:
    leaf = source.raw_tree(("120000", b"x", source.blob()))
    assert read(source, source.raw_tree(("40000", b"Workflows", leaf))).problems == ()


def test_files_over_their_limit_are_refused_unread(source: GitRepo) -> None:
    source.write("workflows/big.yaml", b"x" * (MAX_TEXT_BYTES + 1))
    source.write("workflows/fits.yaml", b"x" * MAX_TEXT_BYTES)
    source.write("files/big", b"x" * (MAX_FILE_BYTES + 1))
    source.write("files/fits", b"x" * MAX_FILE_BYTES)
    found = read_commit(open_at(source.path), source.commit())
    assert codes(found) == {"files/big": "file-too-large", "workflows/big.yaml": "file-too-large"}
    assert {"files/fits", "workflows/fits.yaml"} <= set(found.files)
    assert f"{MAX_FILE_BYTES:,}" in found.problems[0].message


def test_a_source_over_the_total_limit_stops_being_read(source: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitopsd.repo.source.MAX_TOTAL_BYTES", 1000)
    for number in range(5):
        source.write(f"files/{number}", b"x" * 400)
    found = read_commit(open_at(source.path), source.commit())
    assert [problem.code for problem in found.problems] == ["source-too-large"]


def test_a_source_with_too_many_entries_stops_being_read(source: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitopsd.repo.source.MAX_ENTRIES", 10)
    for number in range(20):
        source.write(f"files/{number:02}", "x")
    found = read_commit(open_at(source.path), source.commit())
    assert [problem.code for problem in found.problems] == ["too-many-files"]
    assert len(found.files) <= 10


def test_a_tree_that_repeats_itself_exponentially_ends(source: GitRepo) -> None:
    tree = source.raw_tree(("100644", b"x", source.blob()))
    for _ in range(20):  # 10^20 files
        tree = source.raw_tree(*[("40000", b"%d" % number, tree) for number in range(10)])
    found = read(source, source.raw_tree(("40000", b"files", tree)))
    assert "too-many-files" in {problem.code for problem in found.problems}


def test_a_tree_that_is_too_deep_is_refused(source: GitRepo) -> None:
    tree = source.raw_tree(("100644", b"x", source.blob()))
    for _ in range(40):
        tree = source.raw_tree(("40000", b"d", tree))
    found = read(source, source.raw_tree(("40000", b"files", tree)))
    assert [problem.code for problem in found.problems] == ["too-deep"]


def test_problems_come_all_at_once_sorted_and_bounded(source: GitRepo) -> None:
    blob = source.blob()
    entries = [("120000", b"link%04d" % number, blob) for number in range(source_rules.MAX_PROBLEMS + 50)]
    found = read(source, source.raw_tree(("40000", b"files", source.raw_tree(*reversed(entries)))))
    assert len(found.problems) == source_rules.MAX_PROBLEMS
    assert [problem.path for problem in found.problems] == sorted(problem.path for problem in found.problems)


def test_a_large_file_pointer_is_refused_for_what_it_is(source: GitRepo) -> None:
    source.write("files/model", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert codes(read_commit(open_at(source.path), source.commit())) == {"files/model": "large-file-pointer"}


def test_missing_objects_are_an_error_not_a_problem(source: GitRepo) -> None:
    tree = source.raw_tree(("40000", b"files", source.raw_tree(("100644", b"x", "1" * 40))))
    with pytest.raises(RepositoryError, match=r"1111.* cannot be read"):
        read(source, tree)


def test_a_tree_object_that_is_rubbish_is_an_error(source: GitRepo) -> None:
    rubbish = source.git("hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=b"100644 x\0short")
    with pytest.raises(RepositoryError, match="cannot be read"):
        read(source, source.raw_tree(("40000", b"files", rubbish)))


def test_group_writable_modes_of_old_repositories_are_plain_files(source: GitRepo) -> None:
    found = read(source, source.raw_tree(("100664", b"gitopsd.yaml", source.blob())))
    assert not found.problems
    assert not found.files["gitopsd.yaml"].executable


def test_a_huge_blob_is_refused_by_its_header(source: GitRepo) -> None:
    sparse = source.path / "huge"
    with sparse.open("wb") as file:
        os.truncate(file.fileno(), 200 << 20)
    blob = source.git("hash-object", "-w", "huge")
    found = read(source, source.raw_tree(("100644", b"gitopsd.yaml", blob)))
    assert codes(found) == {"gitopsd.yaml": "file-too-large"}


def test_content_is_read_only_when_it_is_asked_for(source: GitRepo) -> None:
    source.write("workflows/large.yaml", b"# comment\n" * 200)
    head = source.commit()
    blob = source.git("rev-parse", "HEAD:workflows/large.yaml")
    repository = open_at(source.path)
    found = read_commit(repository, head).files["workflows/large.yaml"]
    (source.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(RepositoryError, match=blob):
        _ = found.data


def test_a_tree_that_is_no_tree_and_a_file_that_is_no_blob_are_errors(source: GitRepo) -> None:
    tree = source.git("rev-parse", "HEAD^{tree}")
    with pytest.raises(RepositoryError, match="not a blob"):
        read(source, source.raw_tree(("100644", b"gitopsd.yaml", tree)))
    with pytest.raises(RepositoryError, match="not a tree"):
        read(source, source.raw_tree(("40000", b"files", source.blob())))


def test_reading_again_gives_the_same(source: GitRepo, repository: Repository) -> None:
    first = read_commit(repository, source.git("rev-parse", "HEAD"))
    source.write("workflows/orders.yaml", "workflow: edited\n")
    second = read_commit(repository, source.commit())
    changed = [path for path in second.files if second.files[path] != first.files[path]]
    assert (changed, second.files["workflows/orders.yaml"].data) == (["workflows/orders.yaml"], b"workflow: edited\n")


def test_what_is_known_of_objects_is_bounded() -> None:
    known = _KnownObjects(max_lines=10)
    for number in range(100):
        known.add_tree(str(number), [(0o100644, b"x", "0" * 40)] * (number % 30))
        known.add_size(str(number), number)
    assert sum(len(entries) + 1 for entries in known.trees.values()) <= 10
    assert len(known.sizes) <= 10
