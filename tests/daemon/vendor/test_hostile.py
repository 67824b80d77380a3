"""Repositories, URLs, refs and locks that mean no good, and modules that are not sound: nothing is written."""

import json
from pathlib import Path

import pytest

from gitopsd.compiler.checks.vendored import check_vendored
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.vendor.check import check_libraries
from gitopsd.daemon.vendor.vendoring import add_library, update_libraries
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.worktree_source import read_work_tree
from tests.daemon.libraries import ALL, CLEANSE, NOTIFY, Pair, pair
from tests.repo.gitrepo import git


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def two(tmp_path: Path) -> Pair:
    return pair(tmp_path)


def _codes(error: pytest.ExceptionInfo[DiagnosticsError]) -> list[str]:
    return [one.code for one in error.value.diagnostics]


def _is_clean(two: Pair) -> bool:
    source = read_work_tree(two.repository)
    return not source.problems and not check_vendored(source.files)


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c touch% /tmp/x", "--upload-pack=touch x", "git://host/x", "http://example.org/x", "", "a\nb", "/no"],
)
def test_urls_that_are_not_used_never_reach_git(two: Pair, url: str) -> None:
    with pytest.raises(RepositoryError):
        add_library(two.repository, url, "v1", "modules")
    assert not (two.own.path / "modules").exists()


@pytest.mark.parametrize("ref", ["-v1", "--all", "", "v1..main", ":/first", "v1:modules", "no-such-tag", "@{-1}"])
def test_refs_that_name_no_commit_are_refused(two: Pair, ref: str) -> None:
    with pytest.raises(RepositoryError):
        two.add(ref)


@pytest.mark.parametrize(
    "path",
    ["../modules/a.yaml", "modules/../x.yaml", "/modules", "blueprints/warn.yaml", "modules/vendor/a/modules/b.yaml"],
)
def test_only_module_files_can_be_asked_for(two: Pair, path: str) -> None:
    with pytest.raises(ControllerError, match="neither a module file"):
        two.add(path=path)


def test_a_lock_written_by_somebody_else_can_not_make_git_run_things(two: Pair, tmp_path: Path) -> None:
    two.add()
    hostile = json.loads(two.lock)
    for url in (f"ext::touch% {tmp_path}/ran", "--upload-pack=touch", "ssh://-oProxyCommand=touch/x"):
        hostile["libraries"]["library"]["url"] = url
        two.own.write("modules/vendor/lock.json", json.dumps(hostile))
        with pytest.raises(RepositoryError):
            list(update_libraries(two.repository, []))
    assert not (tmp_path / "ran").exists()
    two.own.write("modules/vendor/lock.json", json.dumps({"libraries": {"../../up": hostile["libraries"]["library"]}}))
    with pytest.raises(DiagnosticsError) as caught:
        list(update_libraries(two.repository, []))
    assert _codes(caught) == ["bad-vendor-lock"]


def _with_entry(two: Pair, **changed: object) -> None:
    """The lock as a pull request may have it."""
    lock = json.loads(two.lock)
    lock["libraries"]["library"] |= changed
    two.own.write("modules/vendor/lock.json", json.dumps(lock))


def test_checking_a_lock_reaches_nothing_that_it_names_unless_asked_to(
    two: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.add()
    _with_entry(two, url="ssh://nobody@127.0.0.1:1/x")
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {tmp_path}/reached; false")
    two.own.write("modules/vendor/library/files/alert.sh", "edited\n", executable=True)
    assert check_libraries(two.repository).libraries[0].unknown == ""
    assert not (tmp_path / "reached").exists()
    assert check_libraries(two.repository, upstream=True).libraries[0].unknown
    assert (tmp_path / "reached").exists()


@pytest.mark.parametrize("url", ["inner", "./inner", "file://{root}/inner", "{root}/inner", "link", "files/../inner"])
def test_a_repository_inside_the_work_tree_is_no_library(two: Pair, url: str) -> None:
    two.add()
    git(two.own.path, "clone", "-q", "--bare", str(two.other.path), "inner")
    (two.own.path / "link").symlink_to(two.other.path)
    url = url.format(root=two.own.path)
    _with_entry(two, url=url, ref="main")
    with pytest.raises(ControllerError, match="inside this work tree"):
        list(update_libraries(two.repository, []))
    assert "inside this work tree" in check_libraries(two.repository, upstream=True).libraries[0].unknown


@pytest.mark.parametrize(
    ("paths", "said"),
    [(["files/conf/rules.txt"], "neither a module file"), (["modules/cleanse.yaml", "README.md"], "neither a module"),
     ([], "names no module"), (["./modules"], "neither a module file")],
)  # fmt: skip
def test_paths_of_a_lock_are_held_against_the_rule_of_add(two: Pair, paths: list[str], said: str) -> None:
    two.add("main")
    before = two.files()
    two.other.commit("newer")
    _with_entry(two, paths=paths)
    with pytest.raises(ControllerError, match=said):
        list(update_libraries(two.repository, []))
    assert two.files() == before


def test_rules_that_hide_the_lock_are_not_taken_for_a_repository_without_one(two: Pair) -> None:
    two.add()
    before = two.lock
    (two.own.path / ".gitignore").symlink_to("/etc/passwd")
    with pytest.raises(ControllerError, match="symbolic link"):
        two.add(name="second")
    assert two.lock == before


def test_a_chain_of_modules_may_be_of_any_length(two: Pair) -> None:
    length = 1_000  # two frames of recursion each would be too many
    for number in range(length):
        use = f"modules/m{number + 1}" if number + 1 < length else "std/transform"
        text = CLEANSE.replace("cleanse", f"m{number}").replace("std/transform", use)
        two.other.write(f"modules/m{number}.yaml", text)
    two.other.commit("a chain")
    two.add("main", path="modules/m0.yaml")
    assert len(two.files()) == length


def _refusal(two: Pair, **options: object) -> list[str]:
    two.other.commit("worse")
    with pytest.raises(DiagnosticsError) as caught:
        two.add("main", **options)  # type: ignore[arg-type]
    assert not (two.own.path / "modules").exists()
    assert all(one.location.path.startswith("library@") for one in caught.value.diagnostics)
    return _codes(caught)


def test_a_link_in_place_of_a_file_that_is_used_is_refused(two: Pair) -> None:
    (two.other.path / "files/alert.sh").unlink()
    (two.other.path / "files/alert.sh").symlink_to("/etc/passwd")
    assert _refusal(two) == ["symlink", "missing-path"] or _refusal(two) == ["missing-path", "symlink"]


def test_a_link_in_place_of_a_folder_or_module_is_refused(two: Pair) -> None:
    (two.other.path / "modules/cleanse.yaml").unlink()
    (two.other.path / "modules/cleanse.yaml").symlink_to("../README.md")
    assert "symlink" in _refusal(two)
    assert "symlink" in _refusal(two, path="modules/cleanse.yaml")
    assert "symlink" in _refusal(two, path="modules")


def test_what_is_wrong_elsewhere_in_that_repository_does_not_matter(two: Pair) -> None:
    (two.other.path / "files/elsewhere").symlink_to("/etc/passwd")
    two.other.write("workflows/broken.yaml", "workflow: [")
    two.other.write("modules/broken.yaml", "module: [")
    two.other.write("blueprints/broken.yaml", "no: mapping: at all")
    two.other.commit("odd")
    two.add("main")
    assert two.files() == ALL


def test_a_submodule_is_refused(two: Pair) -> None:
    commit = two.other.git("rev-parse", "HEAD")
    two.other.git("rm", "-q", "-r", "--cached", "files")
    two.other.git("update-index", "--add", "--cacheinfo", f"160000,{commit},files")
    two.other.git("commit", "-q", "-m", "a submodule")
    with pytest.raises(DiagnosticsError) as caught:
        two.add("main")
    assert "submodule" in _codes(caught)


def test_a_huge_file_is_refused(two: Pair) -> None:
    two.other.write("files/conf/rules.txt", b"x" * ((16 << 20) + 1))
    assert "file-too-large" in _refusal(two)


def test_a_file_of_a_library_may_be_as_large_as_one_s_own(two: Pair) -> None:
    two.other.write("files/conf/rules.txt", b"x" * (2 << 20))
    two.other.commit("large")
    two.add("main")
    assert _is_clean(two)


def test_names_that_lead_out_are_refused(two: Pair) -> None:
    repo = two.other
    blob = repo.blob(CLEANSE.encode())
    outer = repo.raw_tree(("100644", b"..", blob), ("100644", b"cleanse.yaml", blob))
    commit = repo.commit_tree(repo.raw_tree(("40000", b"modules", outer)))
    repo.git("update-ref", "refs/heads/hostile", commit)
    with pytest.raises((DiagnosticsError, RepositoryError)):  # Git's own checks may come first
        two.add("hostile", path="modules")
    assert not (two.own.path / "modules").exists()


def test_names_that_differ_in_case_alone_are_refused(two: Pair) -> None:
    two.other.write("files/Alert.sh", "x\n")
    assert "name-collision" in _refusal(two)


def test_a_name_that_two_files_declare_is_refused(two: Pair) -> None:
    two.other.write("blueprints/second.yaml", (two.other.path / "blueprints/warn.yaml").read_text())
    assert _refusal(two) == ["name-clash"]
    two.other.write("modules/second.yaml", CLEANSE)
    assert "name-clash" in _refusal(two, path="modules/cleanse.yaml")


def test_a_module_that_uses_what_is_not_there_is_refused_with_its_place(two: Pair) -> None:
    two.other.write("modules/notify.yaml", NOTIFY.replace("blueprints/alert", "blueprints/alarm"))
    two.other.commit("worse")
    with pytest.raises(DiagnosticsError) as caught:
        two.add("main")
    (mistake,) = caught.value.diagnostics
    assert (mistake.code, mistake.location.line) == ("unknown-blueprint", 5)
    assert "blueprints/alert" in mistake.hint
    assert caught.value.sources[mistake.location.path].decode().startswith("module: notify")


@pytest.mark.parametrize(
    ("use", "code"),
    [("modules/nothing", "unknown-module"), ("modules/vendor/no/cleanse", "unknown-module"),
     ("../../cleanse", "unknown-blueprint"), ("modules/vendor/../cleanse", "unknown-module"),
     ("files/alert.sh", "unknown-blueprint")],
)  # fmt: skip
def test_other_things_that_a_module_can_not_use(two: Pair, use: str, code: str) -> None:
    two.other.write("modules/notify.yaml", NOTIFY.replace("modules/cleanse", use))
    assert _refusal(two) == [code]


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "gitopsd.yaml", "files/../gitopsd.yaml"])
def test_a_blueprint_ships_nothing_from_outside_of_files(two: Pair, path: str) -> None:
    text = (two.other.path / "blueprints/warn.yaml").read_text()
    two.other.write("gitopsd.yaml", "environments: {}\n")
    two.other.write("blueprints/warn.yaml", text.replace("files/alert.sh", path))
    assert _refusal(two) == ["path-outside"]


def test_a_module_that_uses_itself_is_copied_once(two: Pair) -> None:
    two.other.write("modules/cleanse.yaml", CLEANSE.replace("std/transform", "modules/notify"))
    two.other.commit("a cycle")
    two.add("main")  # compiling says what is wrong with it
    assert two.files() == ALL


def test_an_ignored_file_is_noticed(two: Pair) -> None:
    two.own.write(".gitignore", "*.sh\n")
    with pytest.raises(ControllerError, match="wouldn't take it") as caught:
        two.add()
    assert ".gitignore" in caught.value.hint
