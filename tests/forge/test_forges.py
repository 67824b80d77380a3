"""What every forge does for gitopsd, whichever it is."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from gitopsd.forge.connect import connect
from gitopsd.forge.errors import ForgeRefusedError, NotFoundError
from gitopsd.forge.forge import Approval, ChangedFiles, CommitStatus, Forge
from gitopsd.model.secret import SecretValue
from tests.forge.conftest import AT_ONCE
from tests.forge.standin import How, Standin, forge_standin
from tests.forge.standin.forge import BOT

MARKER = "<!-- gitopsd plan production -->"
PENDING = CommitStatus(context="gitopsd/plan/production", state="pending", description="planning")


def test_a_pull_request_is_read_as_it_is(standin: Standin, forge: Forge) -> None:
    head = standin.commit("feature", {"a": "1"})
    number = standin.open("feature", author="ada")
    found = forge.pull_request(number)
    assert (found.number, found.head_commit, found.head_ref, found.base_ref) == (number, head, "feature", "main")
    assert (found.author, found.from_fork, found.draft, found.state) == ("ada", False, False, "open")
    assert found.merge_commit == ""
    assert found.base_commit == standin.repository.head("main")
    assert found.url.startswith(standin.url)
    assert forge.pull_request(number) == found


def test_one_that_is_not_there_is_said_so(forge: Forge) -> None:
    with pytest.raises(NotFoundError, match="answers 404"):
        forge.pull_request(99)


def test_all_open_ones_are_listed_over_as_many_pages_as_it_takes(standin: Standin, forge: Forge) -> None:
    standin.page_limit = 2
    standin.commit("feature", {"a": "1"})
    numbers = [standin.open("feature", draft=index == 0) for index in range(5)]
    standin.close(numbers[1])
    found = forge.open_pull_requests()
    assert [one.number for one in found] == [numbers[0], *numbers[2:]]
    assert [one.draft for one in found] == [True, False, False, False]


def test_a_push_moves_the_head_and_the_state_follows(standin: Standin, forge: Forge) -> None:
    standin.commit("feature", {"a": "1"})
    number = standin.open("feature")
    newer = standin.commit("feature", {"a": "2"})
    assert forge.pull_request(number).head_commit == newer
    standin.close(number)
    assert forge.pull_request(number).state == "closed"
    assert forge.open_pull_requests() == ()


def test_a_fork_is_recognised_even_when_it_was_deleted(standin: Standin, forge: Forge, tmp_path: Path) -> None:
    standin.fork("mallory")
    head = standin.commit("main", {"a": "1"}, fork="mallory")
    number = standin.open("main", author="mallory", fork="mallory")
    assert forge.pull_request(number).from_fork
    # its head comes with the repository itself
    ref = forge.head_ref(number)
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "clone"], check=True)
    subprocess.run(["git", "fetch", "-q", standin.git_url, f"{ref}:refs/x"], cwd=tmp_path / "clone", check=True)
    told = subprocess.check_output(["git", "rev-parse", "refs/x"], cwd=tmp_path / "clone", text=True)
    assert told.strip() == head
    standin.close(number)
    del standin.forks["mallory"]
    assert forge.pull_request(number).from_fork


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_the_merge_is_found_by_the_commit_that_it_made(standin: Standin, forge: Forge, how: How) -> None:
    standin.commit("feature", {"a": "1"})
    standin.commit("feature", {"b": "1"})
    number = standin.open("feature")
    standin.commit("main", {"c": "1"})
    commit = standin.merge(number, how)
    found = forge.merged_pull_request(commit, "main")
    assert found is not None
    assert (found.number, found.state, found.merge_commit) == (number, "merged", commit)
    assert forge.merged_pull_request(commit, "stable") is None
    assert forge.pull_request(number).state == "merged"


def test_a_direct_push_came_from_no_pull_request(standin: Standin, forge: Forge) -> None:
    standin.commit("feature", {"a": "1"})
    standin.open("feature")
    assert forge.merged_pull_request(standin.commit("main", {"b": "1"}), "main") is None


def test_the_comment_is_written_once_then_edited_only_when_its_text_differs(standin: Standin, forge: Forge) -> None:
    standin.page_limit = 3
    standin.commit("feature", {"a": "1"})
    number = standin.open("feature")
    for index in range(4):
        standin.comment(number, "ada", f"remark {index}")
    assert forge.upsert_comment(number, MARKER, f"{MARKER}\none")
    assert not forge.upsert_comment(number, MARKER, f"{MARKER}\none")
    standin.notes(number, by=BOT)[0].body = f"{MARKER}\r\none\r\n"  # as a forge may keep it
    assert not forge.upsert_comment(number, MARKER, f"{MARKER}\none")
    assert forge.upsert_comment(number, MARKER, f"{MARKER}\ntwo")
    other = MARKER.replace("production", "staging")
    assert forge.upsert_comment(number, other, f"{other}\nthree")
    ours = standin.notes(number, by=BOT)
    assert [(one.body, one.edits) for one in ours] == [(f"{MARKER}\ntwo", 1), (f"{other}\nthree", 0)]


def test_nobody_can_slip_in_a_comment_as_ours(standin: Standin, forge: Forge) -> None:
    standin.commit("feature", {"a": "1"})
    number = standin.open("feature")
    theirs = standin.comment(number, "mallory", f"{MARKER}\nall is well")
    assert forge.upsert_comment(number, MARKER, f"{MARKER}\nthe plan")
    assert theirs.body == f"{MARKER}\nall is well"
    assert [one.body for one in standin.notes(number, by=BOT)] == [f"{MARKER}\nthe plan"]


def test_a_comment_that_is_too_long_is_not_sent(standin: Standin, forge: Forge) -> None:
    standin.commit("feature", {"a": "1"})
    number = standin.open("feature")
    longest = MARKER + "x" * (forge.comment_limit - len(MARKER))
    assert forge.upsert_comment(number, MARKER, longest)
    with pytest.raises(ValueError, match="at most"):
        forge.upsert_comment(number, MARKER, longest + "x")
    with pytest.raises(ValueError, match="marker"):
        forge.upsert_comment(number, MARKER, "without")


def test_a_status_is_written_on_change_only(standin: Standin, forge: Forge) -> None:
    commit = standin.commit("feature", {"a": "1"})
    done = CommitStatus(
        context=PENDING.context, state="success", description="3 jobs change", target="https://example.com/plan"
    )
    assert forge.set_status(commit, PENDING)
    assert not forge.set_status(commit, PENDING)
    assert forge.set_status(commit, done)
    assert not forge.set_status(commit, done)
    standin.add_status(commit, "ci/build", "success", "", "")
    assert not forge.set_status(commit, done)
    kept = standin.statuses(commit, PENDING.context)
    assert [(one.state, one.description, one.target) for one in kept] == [
        ("pending", "planning", ""),
        ("success", "3 jobs change", "https://example.com/plan"),
    ]


@pytest.mark.parametrize("state", ["failure", "error"])
def test_a_failure_is_said_in_the_forge_s_own_word(standin: Standin, forge: Forge, state: str) -> None:
    commit = standin.commit("feature", {"a": "1"})
    status = CommitStatus(context="c", state="error" if state == "error" else "failure", description="d")
    assert forge.set_status(commit, status)
    assert not forge.set_status(commit, status)
    assert standin.statuses(commit)[-1].state == ("failed" if standin.kind == "gitlab" else state)


def test_a_long_description_is_cut_and_stays_the_same(standin: Standin, forge: Forge) -> None:
    commit = standin.commit("feature", {"a": "1"})
    status = CommitStatus(context="c", state="success", description="many\nwords " * 100)
    assert forge.set_status(commit, status)
    assert not forge.set_status(commit, status)
    (kept,) = standin.statuses(commit)
    assert kept.description.endswith("…")
    assert len(kept.description) <= 255
    assert "\n" not in kept.description


def test_changed_files_have_both_names_of_what_was_renamed(standin: Standin, forge: Forge) -> None:
    text = "".join(f"{index}\n" for index in range(50))
    standin.commit("main", {"old": text, "gone": "x\n"})
    standin.commit("feature", {"old": None, "new": text, "gone": None, "ü/ber": "y\n"})
    number = standin.open("feature")
    standin.commit("main", {"other": "z\n"})
    assert forge.changed_files(number) == ChangedFiles(paths=("gone", "new", "old", "ü/ber"), complete=True)


def test_the_last_word_of_each_person_counts(standin: Standin, forge: Forge) -> None:
    first = standin.commit("feature", {"a": "1"})
    number = standin.open("feature", author="ada")
    standin.approve(number, "grace")
    second = standin.commit("feature", {"a": "2"})
    standin.approve(number, "linus")
    standin.approve(number, "ada")
    given = {one.author: one.at for one in standin.pulls[number].reviews}
    valid = {one for one in forge.approvals(forge.pull_request(number)) if one.valid}
    assert valid == {
        Approval(author="grace", commit=first, at=given["grace"], valid=True),
        Approval(author="linus", commit=second, at=given["linus"], valid=True),
    }
    standin.dismiss(number, "grace")
    standin.request_changes(number, "linus")
    assert not [one for one in forge.approvals(forge.pull_request(number)) if one.valid]
    standin.approve(number, "linus")
    assert [one.author for one in forge.approvals(forge.pull_request(number)) if one.valid] == ["linus"]


def test_an_approval_of_somebody_without_a_say_is_none(standin: Standin, forge: Forge) -> None:
    if standin.kind == "gitlab":
        pytest.skip("GitLab lets nobody else approve")
    standin.commit("feature", {"a": "1"})
    number = standin.open("feature")
    standin.approve(number, "passer-by", has_a_say=False)
    assert not any(one.valid for one in forge.approvals(forge.pull_request(number)))


def test_a_wrong_token_is_refused_and_not_shown(standin: Standin) -> None:
    wrong = "a-token-that-is-wrong"
    with (
        closing(
            connect(standin.kind, standin.name, standin.url, lambda: SecretValue(wrong.encode()), AT_ONCE)
        ) as forge,
        pytest.raises(ForgeRefusedError) as told,
    ):
        forge.open_pull_requests()
    assert "401" in told.value.message
    assert "token" in told.value.hint
    assert wrong not in repr(told.value) + told.value.hint + repr(told.value.__context__)
    assert len(standin.requests) == 1


def test_an_app_of_github_finds_its_own_comment(tmp_path: Path) -> None:
    with forge_standin("github", tmp_path) as standin:
        standin.is_app = True
        standin.commit("feature", {"a": "1"})
        number = standin.open("feature")
        with closing(connect("github", standin.name, standin.url, standin.token, AT_ONCE)) as forge:
            assert forge.upsert_comment(number, MARKER, f"{MARKER}\none")
            assert forge.upsert_comment(number, MARKER, f"{MARKER}\ntwo")
        assert [one.body for one in standin.notes(number)] == [f"{MARKER}\ntwo"]


def test_what_did_not_change_is_confirmed_in_one_request(tmp_path: Path) -> None:
    with forge_standin("github", tmp_path) as standin:
        standin.commit("feature", {"a": "1"})
        standin.open("feature")
        with closing(connect("github", standin.name, standin.url, standin.token, AT_ONCE)) as forge:
            first = forge.open_pull_requests()
            assert forge.open_pull_requests() == first
            standin.commit("feature", {"a": "2"})
            assert forge.open_pull_requests() != first
        assert [one.status for one in standin.requests] == [200, 304, 200]


def test_several_threads_may_ask_at_once(standin: Standin, forge: Forge) -> None:
    standin.commit("feature", {"a": "1"})
    numbers = [standin.open("feature") for _ in range(8)]

    def plan(number: int) -> bool:
        forge.set_status(forge.pull_request(number).head_commit, PENDING)
        written = forge.upsert_comment(number, MARKER, f"{MARKER}\n{number}")
        return written is not None and len(forge.open_pull_requests()) == 8

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(plan, numbers))
    assert [standin.notes(number)[0].body for number in numbers] == [f"{MARKER}\n{number}" for number in numbers]


def test_a_pull_request_is_opened_once_and_our_comment_can_be_read_again(standin: Standin, forge: Forge) -> None:
    standin.commit("rollback", {"a.txt": "one\n"})
    opened = forge.open_pull_request("rollback", "main", "Return to deployment 1", "why")
    assert (opened.state, opened.head_ref, opened.base_ref) == ("open", "rollback", "main")
    assert [one.number for one in forge.open_pull_requests()] == [opened.number]
    with pytest.raises(ForgeRefusedError):
        forge.open_pull_request("rollback", "main", "again", "")
    standin.comment(opened.number, "mallory", "<!-- ours -->\nforged")
    assert forge.comment(opened.number, "<!-- ours -->") is None
    written = forge.upsert_comment(opened.number, "<!-- ours -->", "<!-- ours -->\nplan")
    read = forge.comment(opened.number, "<!-- ours -->")
    assert read is not None
    assert (read.body, read.at) == ("<!-- ours -->\nplan", written), "by the forge's own clock"
    edited = forge.upsert_comment(opened.number, "<!-- ours -->", "<!-- ours -->\nanother plan")
    assert edited is not None
    assert edited > read.at
