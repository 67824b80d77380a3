import os
import signal
import threading
import time
from pathlib import Path

import pytest

from gitopsd.repo.errors import GitCommandError
from gitopsd.repo.gitcommand import run_git, without_credentials
from gitopsd.repo.left_lock import remove_left_lock
from tests.operator import eventually
from tests.repo.gitrepo import GitRepo


def test_a_failure_shows_command_exit_code_and_what_git_said(source: GitRepo) -> None:
    with pytest.raises(GitCommandError, match=r"git rev-parse --verify nope.*exit code 128") as raised:
        run_git(["rev-parse", "--verify", "nope"], git_dir=source.path / ".git")
    assert raised.value.exit_code == 128
    assert "fatal" in raised.value.stderr


def test_a_deadline_ends_git_and_all_it_started(source: GitRepo, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source.git("config", "alias.hang", f"!echo $$ > {pid}; sleep 600; true")
    with pytest.raises(GitCommandError, match="did not finish before its deadline") as raised:
        run_git(["hang"], git_dir=source.path / ".git", deadline=3.0)
    assert raised.value.exit_code is None
    for _ in range(100):
        if not Path(f"/proc/{pid.read_text().strip()}/cmdline").exists():
            return
        if Path(f"/proc/{pid.read_text().strip()}/stat").read_text().split(")")[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the alias outlived its deadline")


def test_an_interrupt_ends_git_too(source: GitRepo, tmp_path: Path) -> None:
    begun, mark = tmp_path / "begun", tmp_path / "mark"
    source.git("config", "alias.hang", f"!touch {begun}; sleep 2; touch {mark}")

    def interrupt() -> None:
        eventually("git has begun", begun.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_git(["hang"], git_dir=source.path / ".git")
    time.sleep(2.5)
    assert not mark.exists()


def test_a_git_that_is_ended_leaves_no_lock(source: GitRepo, tmp_path: Path) -> None:
    """One that is killed at once would: no ref moves any more, and nobody removes it."""
    hook = tmp_path / "hooks/reference-transaction"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexec sleep 600\n")
    hook.chmod(0o755)
    arguments = ["-c", f"core.hooksPath={hook.parent}", "update-ref", "refs/heads/other", "HEAD"]
    with pytest.raises(GitCommandError, match="did not finish before its deadline"):
        run_git(arguments, git_dir=source.path / ".git", deadline=1.0)
    assert not list(source.path.glob(".git/**/*.lock"))


LOCKS = {
    "refs/heads/kept.lock": ["update-ref", "refs/heads/kept", "HEAD"],
    "packed-refs.lock": ["pack-refs", "--all"],
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_that_was_left_on_a_ref_is_removed_after_ten_minutes(source: GitRepo, name: str) -> None:
    git_dir = source.path / ".git"
    lock = git_dir / name
    lock.touch()
    with pytest.raises(GitCommandError, match="File exists"):
        run_git(LOCKS[name], git_dir=git_dir)
    assert lock.exists(), "somebody may hold it"
    os.utime(lock, (time.time() - 601,) * 2)
    run_git(LOCKS[name], git_dir=git_dir)
    assert not lock.exists()


def test_a_lock_that_is_no_refs_or_that_only_the_other_side_speaks_of_stays(source: GitRepo) -> None:
    git_dir = source.path / ".git"
    (git_dir / "refs/heads/kept.lock").touch()
    (git_dir / "index.lock").touch()
    for lock in (git_dir / "refs/heads/kept.lock", git_dir / "index.lock"):
        os.utime(lock, (0, 0))
    said = f"Unable to create '{git_dir}/refs/heads/kept.lock': File exists"
    assert not remove_left_lock(git_dir, f"remote: error: {said}\n")
    assert not remove_left_lock(git_dir, f"fatal: Unable to create '{git_dir}/index.lock': File exists.\n")
    assert not remove_left_lock(git_dir, f"fatal: Unable to create '{git_dir}/refs/../index.lock': File exists.\n")
    assert remove_left_lock(git_dir, f"fatal: {said}.\n")


def test_the_environment_is_scrubbed_and_speaks_one_language(source: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", "elsewhere")
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("GIT_ASKPASS", "/bin/my-askpass")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    source.git("config", "alias.env", "!env")
    lines = run_git(["env"], git_dir=source.path / ".git").stdout.decode().splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert not {"GIT_INDEX_FILE", "GIT_TRACE"} & set(seen)
    assert seen["GIT_ASKPASS"] == "/bin/my-askpass"
    assert (seen["LC_ALL"], seen["GIT_TERMINAL_PROMPT"]) == ("C", "0")
    assert "ext" not in seen["GIT_ALLOW_PROTOCOL"].split(":")
    assert seen["GIT_SSH_COMMAND"] == "ssh -oBatchMode=yes"


def test_a_missing_git_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitCommandError) as raised:
        run_git(["version"])
    assert "install git" in raised.value.hint


@pytest.mark.parametrize(
    "text",
    ["https://user:hunter2@host/x", "fatal: 'ssh://hunter2@host': no", "a https://hunter2:x@h/ b http://t:hunter2@h/"],
)
def test_credentials_in_urls_are_masked(text: str) -> None:
    assert "hunter2" not in without_credentials(text)


def test_packs_and_refs_are_synced_whatever_the_configuration_says(source: GitRepo) -> None:
    source.git("config", "core.fsync", "none")
    effective = run_git(["config", "core.fsync"], git_dir=source.path / ".git").stdout
    assert effective == b"pack,pack-metadata,reference\n"


def test_arguments_are_never_a_shell(tmp_path: Path) -> None:
    with pytest.raises(GitCommandError):
        run_git(["ls-remote", f"$(touch {tmp_path}/ran)"], cwd=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_process_that_left_the_group_cannot_hold_us_up(
    source: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitopsd.repo.process._KILLED_DEADLINE", 0.2)
    mark = tmp_path / "mark"
    source.git("config", "alias.leave", f"!setsid sh -c 'sleep 8; touch {mark}' & sleep 60")
    with pytest.raises(GitCommandError):
        run_git(["leave"], git_dir=source.path / ".git", deadline=0.5)
    assert not mark.exists()
