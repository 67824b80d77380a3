import json
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

import pytest

from gitopsd.repo.artifacts import ArtifactBranch, artifact_branch
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.notes import encode_note, read_note, update_note
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import Repository, open_at
from tests.repo.gitrepo import GitRepo, deploy, git


def add(repository: Repository, branch: ArtifactBranch, commit: str, record: Mapping[str, object]) -> bytes:
    return update_note(repository, branch, None, commit, lambda _: record)


def test_a_note_is_json_that_git_notes_shows(source: GitRepo, repository: Repository, branch: ArtifactBranch) -> None:
    commit = deploy(repository, branch, 1)
    add(repository, branch, commit, {"workers": {"b": 1, "a": [2]}, "ok": True})
    shown = source.git("notes", f"--ref={branch.notes_ref}", "show", commit)
    assert shown == '{\n  "ok": true,\n  "workers": {\n    "a": [\n      2\n    ],\n    "b": 1\n  }\n}'
    assert read_note(repository, branch, commit) == shown.encode() + b"\n"
    source.git("fsck", "--strict")


def test_without_a_note_there_is_none(repository: Repository, branch: ArtifactBranch) -> None:
    commit = deploy(repository, branch, 1)
    assert read_note(repository, branch, commit) is None
    add(repository, branch, "1" * 40, {})
    assert read_note(repository, branch, commit) is None


def test_a_note_grows_from_what_it_was_and_the_notes_of_others_stay(
    repository: Repository, branch: ArtifactBranch
) -> None:
    commits = [deploy(repository, branch, number) for number in range(1, 30)]
    for number, commit in enumerate(commits):
        add(repository, branch, commit, {"n": number})
    update_note(repository, branch, None, commits[5], lambda old: {**json.loads(old or b"{}"), "again": True})
    for number, commit in enumerate(commits):
        note = json.loads(read_note(repository, branch, commit) or b"null")
        assert note == ({"again": True, "n": number} if number == 5 else {"n": number})
    listed = git(repository.git_dir, "notes", f"--ref={branch.notes_ref}", "list").splitlines()
    assert {line.split()[1] for line in listed} == set(commits)


def test_a_note_that_stays_the_same_makes_no_commit(repository: Repository, branch: ArtifactBranch) -> None:
    commit = deploy(repository, branch, 1)
    add(repository, branch, commit, {"n": 1})
    before = repository.ref(branch.notes_ref)
    add(repository, branch, commit, {"n": 1})
    assert repository.ref(branch.notes_ref) == before


def test_notes_that_git_wrote_are_read_and_replaced(
    source: GitRepo, repository: Repository, branch: ArtifactBranch
) -> None:
    commits = [deploy(repository, branch, number) for number in (1, 2)]
    for commit in commits:
        source.git("notes", f"--ref={branch.notes_ref}", "add", "-m", '{"by": "git"}', commit)
    assert json.loads(read_note(repository, branch, commits[0]) or b"") == {"by": "git"}
    add(repository, branch, commits[0], {"by": "us"})
    shown = [source.git("notes", f"--ref={branch.notes_ref}", "show", commit) for commit in commits]
    assert [json.loads(text) for text in shown] == [{"by": "us"}, {"by": "git"}]
    assert len(source.git("notes", f"--ref={branch.notes_ref}", "list").splitlines()) == 2
    source.git("notes", f"--ref={branch.notes_ref}", "append", "-m", "words", commits[0])
    assert b"words" in (read_note(repository, branch, commits[0]) or b"")


@pytest.mark.parametrize("record", [[1], "x", None, object(), {"a": object()}, {1: object()}])
def test_what_is_no_json_object_is_refused(record: object) -> None:
    with pytest.raises(RepositoryError, match="note"):
        encode_note(record)


def append_in_a_race(path: Path, commit: str, writer: int) -> None:
    repository, branch = open_at(path), artifact_branch("production")
    remote = find_remote(repository)
    for number in range(4):

        def change(old: bytes | None, key: str = f"{writer}-{number}") -> object:
            return {**json.loads(old or b"{}"), key: True}

        update_note(repository, branch, remote, commit, change)


@pytest.mark.parametrize("with_remote", [False, True])
def test_writers_that_race_for_one_note_lose_nothing(tmp_path: Path, bare: Path, with_remote: bool) -> None:
    commit = deploy(open_at(bare), artifact_branch("production"), 1)
    paths = [bare, bare]
    if with_remote:
        paths = [tmp_path / "one", tmp_path / "two"]
        for path in paths:
            git(tmp_path, "clone", "-q", str(bare), str(path))
    context = get_context("spawn")
    racers = [
        context.Process(target=append_in_a_race, args=(path, commit, number)) for number, path in enumerate(paths)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0, 0]
    note = json.loads(read_note(open_at(bare), artifact_branch("production"), commit) or b"")
    assert set(note) == {f"{writer}-{number}" for writer in range(2) for number in range(4)}
