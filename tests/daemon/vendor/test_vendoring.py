"""Copying modules from real repositories, friendly ones and others."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec.structs import replace

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


@pytest.fixture
def web(two: Pair, tmp_path: Path) -> Iterator[str]:
    """The other repository over HTTP, as any web server gives it; with a password in the URL."""
    git(tmp_path, "clone", "-q", "--bare", str(two.other.path), "served.git")
    git(tmp_path / "served.git", "update-server-info")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://ada:hunter2@127.0.0.1:{server.server_address[1]}/served.git"
        server.shutdown()
        thread.join(10)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        pass


def _is_clean(two: Pair) -> bool:
    source = read_work_tree(two.repository)
    return not source.problems and not check_vendored(source.files)


def test_a_module_is_copied_with_all_that_it_uses_and_nothing_else(two: Pair) -> None:
    done = two.add()
    assert two.files() == ALL
    assert done.modules == ("notify",)
    (entry,) = json.loads(two.lock)["libraries"].items()
    assert entry == (
        "library",
        {
            "url": f"file://{two.other.path}",
            "ref": "v1",
            "commit": two.other.git("rev-parse", "v1"),
            "paths": ["modules/notify.yaml"],
            "tree": entry[1]["tree"],
        },
    )
    two.own.commit("vendored")
    assert two.own.git("rev-parse", "HEAD:modules/vendor/library") == entry[1]["tree"]
    assert _is_clean(two)
    assert two.own.git("status", "--porcelain", "--ignored") == ""


def test_adding_the_same_again_does_nothing(two: Pair) -> None:
    two.add()
    before = (two.own.path / "modules/vendor/library/modules/notify.yaml").stat().st_ino
    assert not two.add().written
    assert (two.own.path / "modules/vendor/library/modules/notify.yaml").stat().st_ino == before


def test_a_second_path_of_the_same_commit_extends_the_library(two: Pair) -> None:
    two.add(path="modules/cleanse.yaml")
    assert two.files() == {"modules/cleanse.yaml"}
    two.add(path="modules/unused.yaml")
    assert two.files() == {"modules/cleanse.yaml", "modules/unused.yaml"}
    assert json.loads(two.lock)["libraries"]["library"]["paths"] == ["modules/cleanse.yaml", "modules/unused.yaml"]


def test_the_folder_means_all_modules(two: Pair) -> None:
    done = two.add(path="modules/")
    assert done.modules == ("cleanse", "notify", "unused")
    assert two.files() == ALL | {"modules/unused.yaml"}


def test_a_library_inside_the_library_comes_along_where_it_is_used(two: Pair) -> None:
    inner = "modules/vendor/deep/modules/cleanse.yaml"
    two.other.write(inner, CLEANSE)
    two.other.write("modules/vendor/deep/modules/other.yaml", CLEANSE.replace("cleanse", "other"))
    two.other.write("modules/notify.yaml", NOTIFY.replace("modules/cleanse", "modules/vendor/deep/cleanse"))
    two.other.commit("nested")
    two.add("main")
    assert two.files() == ALL - {"modules/cleanse.yaml"} | {inner}


def test_a_name_is_made_of_the_repository_s_or_given(two: Pair, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(two.other.path), "Acme_Flows.v2.git")
    done = add_library(two.repository, f"{tmp_path}/Acme_Flows.v2.git", "v1", "modules/cleanse.yaml")
    assert done.name == "acme-flows-v2"
    two.add(name="mine")
    assert sorted(json.loads(two.lock)["libraries"]) == ["acme-flows-v2", "mine"]
    with pytest.raises(ControllerError, match="can't be named"):
        two.add(name="../up")


def test_a_relative_path_is_kept_as_seen_from_the_root(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    (two.own.path / "workflows").mkdir()
    monkeypatch.chdir(two.own.path / "workflows")
    add_library(two.repository, "../../library", "v1", "modules/cleanse.yaml")
    assert json.loads(two.lock)["libraries"]["library"]["url"] == "../library"
    two.other.write("modules/cleanse.yaml", CLEANSE + "# newer\n")
    two.other.commit("newer")
    two.other.git("tag", "-f", "v1")
    (done,) = update_libraries(two.repository, ["library"])
    assert done.differences.changed == ("modules/cleanse.yaml",)
    with pytest.raises(ControllerError, match="is this repository"):
        add_library(two.repository, "..", "main", "modules")


def test_an_update_moves_to_the_newest_commit_and_says_what_changed(two: Pair) -> None:
    first = two.add("main").after
    assert [done.written for done in update_libraries(two.repository, [])] == [False]
    two.other.write("modules/notify.yaml", NOTIFY.replace("  check:", "  cheque:"))
    two.other.write("modules/extra.yaml", CLEANSE.replace("cleanse", "extra"))
    two.other.write("blueprints/warn.yaml", (two.other.path / "blueprints/warn.yaml").read_text().replace(
        "    rules.txt: {from: files/conf/rules.txt}\n", ""
    ))  # fmt: skip
    newest = two.other.commit("newer")
    (done,) = update_libraries(two.repository, ["library"])
    assert done.before == first
    assert done.after.commit == newest
    assert done.differences.lines == (
        "changed: blueprints/warn.yaml", "changed: modules/notify.yaml", "removed: files/conf/rules.txt",
    )  # fmt: skip
    assert _is_clean(two)
    (done,) = update_libraries(two.repository, [], ref="v1")
    assert done.after == replace(first, ref="v1")


def test_what_was_edited_here_is_not_overwritten_unless_forced(two: Pair) -> None:
    two.add("main")
    two.own.commit("vendored")
    two.own.write("modules/vendor/library/modules/notify.yaml", "module: mine\n")
    two.own.write("modules/vendor/library/files/new.sh", "x\n")
    (two.own.path / "modules/vendor/library/files/alert.sh").unlink()
    two.other.write("modules/notify.yaml", NOTIFY + "# newer\n")
    two.other.commit("newer")
    for attempt in (lambda: list(update_libraries(two.repository, [])), lambda: two.add("v1")):
        with pytest.raises(ControllerError) as caught:
            attempt()
        assert caught.value.message.splitlines()[1:] == [
            "  added: files/new.sh", "  changed: modules/notify.yaml", "  removed: files/alert.sh",
        ]  # fmt: skip
    assert (two.own.path / "modules/vendor/library/modules/notify.yaml").read_text() == "module: mine\n"
    list(update_libraries(two.repository, [], force=True))
    assert _is_clean(two)


def test_edits_of_what_was_never_committed_are_told_from_the_other_repository(two: Pair) -> None:
    two.add()
    two.own.write("modules/vendor/library/files/alert.sh", "edited\n", executable=True)
    with pytest.raises(ControllerError, match=r"changed: files/alert\.sh"):
        two.add()


def test_a_folder_that_nobody_locked_is_not_overwritten(two: Pair) -> None:
    two.own.write("modules/vendor/library/modules/a.yaml", "module: a\n")
    with pytest.raises(ControllerError, match="doesn't know it"):
        two.add()
    assert two.files() == {"modules/a.yaml"}


def test_a_library_that_went_missing_is_brought_back_without_force(two: Pair) -> None:
    two.add()
    two.own.git("clean", "-dfq", "modules/vendor/library")
    assert not two.files()
    list(update_libraries(two.repository, ["library"]))
    assert two.files() == ALL


def test_one_library_is_one_commit_of_one_repository(two: Pair, tmp_path: Path) -> None:
    two.add(path="modules/cleanse.yaml")
    two.other.write("modules/more.yaml", CLEANSE.replace("cleanse", "more"))
    two.other.commit("newer")
    with pytest.raises(ControllerError, match="is at") as caught:
        two.add("main")
    assert "vendor update library --ref main" in caught.value.hint
    git(tmp_path, "clone", "-q", "--bare", str(two.other.path), "elsewhere.git")
    with pytest.raises(ControllerError, match="is from"):
        add_library(two.repository, f"{tmp_path}/elsewhere.git", "v1", "modules", name="library")


def test_check_tells_what_differs_and_what_is_newer(two: Pair) -> None:
    assert check_libraries(two.repository).clean
    two.add("main")
    two.own.commit("vendored")
    state = check_libraries(two.repository, upstream=True)
    assert state.clean
    assert state.libraries[0].upstream == state.libraries[0].commit
    newest = two.other.commit("newer")
    state = check_libraries(two.repository, upstream=True)
    assert (state.clean, state.libraries[0].upstream) == (True, newest)
    two.own.write("modules/vendor/library/files/alert.sh", "edited\n", executable=True)
    two.own.write("modules/vendor/other/modules/a.yaml", "module: a\n")
    two.own.write("modules/vendor/notes.txt", "mine\n")
    state = check_libraries(two.repository)
    assert [(one.library, one.state, one.differs) for one in state.libraries] == [
        ("library", "modified", ("changed: files/alert.sh",)), ("other", "not-locked", ()),
    ]  # fmt: skip
    assert state.extra == ("modules/vendor/notes.txt",)
    assert not state.clean


def test_check_goes_on_where_a_repository_is_gone(two: Pair) -> None:
    two.add()
    two.other.path.rename(two.other.path.with_name("moved"))
    state = check_libraries(two.repository, upstream=True)
    assert state.clean
    assert "could not be reached" in state.libraries[0].unknown


def test_credentials_are_neither_stored_nor_shown(two: Pair, web: str) -> None:
    done = add_library(two.repository, web, "v1", "modules/cleanse.yaml")
    assert done.name == "served"
    assert "hunter2" not in two.lock + repr(done) + str(done.source)
    kept = [path.read_text(errors="replace") for path in two.own.path.parent.joinpath("cache").rglob("config")]
    assert kept
    assert not any("hunter2" in text for text in kept)
    gone = web.replace("served.git", "gone.git")
    with pytest.raises(RepositoryError) as caught:
        add_library(two.repository, gone, "v1", "modules", name="gone")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_files_that_parameters_come_from_are_copied_with_the_module(two: Pair) -> None:
    module = "module: relay\nsteps:\n  relay: {use: std/rsyslog, with: {config: {from: files/relay.conf}}}\n"
    two.other.write("modules/relay.yaml", module)
    two.other.commit("A relay without its file")
    with pytest.raises(DiagnosticsError) as refused:
        two.add("main", "modules/relay.yaml")
    assert [one.code for one in refused.value.diagnostics] == ["missing-path"]
    two.other.write("files/relay.conf", "stop\n")
    two.other.commit("A relay")
    two.add("main", "modules/relay.yaml")
    assert two.files() == {"modules/relay.yaml", "files/relay.conf"}
