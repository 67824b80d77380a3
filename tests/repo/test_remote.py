import os
import socket
import threading
from pathlib import Path

import pytest

from gitopsd.model.trees import build_tree
from gitopsd.repo.artifacts import ArtifactBranch, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import (
    DivergedError,
    RefMovedError,
    RemoteAuthenticationError,
    RemoteRejectedError,
    RemoteUnreachableError,
    RepositoryError,
)
from gitopsd.repo.notes import read_note, update_note
from gitopsd.repo.publish import fetch_artifacts, write_deployment
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.remote import Remote, find_remote, push, tracking_ref
from gitopsd.repo.repository import Repository, open_at
from tests.repo.gitrepo import deploy, git, trailers


@pytest.fixture
def clone(tmp_path: Path, bare: Path) -> Repository:
    git(tmp_path, "clone", "-q", f"file://{bare}", "clone")
    return open_at(tmp_path / "clone")


@pytest.fixture
def remote(clone: Repository) -> Remote:
    found = find_remote(clone)
    assert found is not None
    return found


@pytest.fixture
def server(bare: Path) -> Repository:
    return open_at(bare)


def test_a_deployment_lives_in_the_remote_and_the_local_branch_follows(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    fetch_artifacts(clone, branch, remote)
    commit = deploy(clone, branch, 1, remote=remote)
    assert server.ref(branch.ref) == clone.ref(branch.ref) == commit
    update_note(clone, branch, remote, commit, lambda _: {"ok": 1})
    assert read_note(server, branch, commit) == b'{\n  "ok": 1\n}\n'
    git(server.git_dir, "fsck", "--strict")


def test_what_others_deployed_is_fetched_notes_included(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    for number in (1, 2):
        commit = deploy(server, branch, number)
    update_note(server, branch, None, commit, lambda _: {"n": 2})
    fetch_artifacts(clone, branch, remote)
    head = read_head(clone, branch)
    assert head is not None
    assert head.commit.trailers == trailers(2)
    assert read_note(clone, branch, commit) == b'{\n  "n": 2\n}\n'


def test_when_nothing_is_new_nothing_is_fetched(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(server, branch, 1)
    fetch_artifacts(clone, branch, remote)
    monkeypatch.setattr("gitopsd.repo.publish.fetch", lambda *_, **__: pytest.fail("fetched"))
    fetch_artifacts(clone, branch, remote)


def test_a_push_that_lost_the_race_says_so_and_changes_nothing_here(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    first = deploy(clone, branch, 1, remote=remote)
    stale = read_head(clone, branch)
    theirs = deploy(server, branch, 2)
    with pytest.raises(RefMovedError):
        write_deployment(clone, branch, remote, build_tree({}), head=stale, subject="late", trailers=trailers(2))
    assert (clone.ref(branch.ref), server.ref(branch.ref)) == (first, theirs)
    fetch_artifacts(clone, branch, remote)
    deploy(clone, branch, 3, remote=remote)


def test_a_branch_that_another_created_meanwhile_is_not_overwritten(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    theirs = deploy(server, branch, 1)
    with pytest.raises(RefMovedError):
        write_deployment(clone, branch, remote, build_tree({}), head=None, subject="me too", trailers=trailers(1))
    assert server.ref(branch.ref) == theirs
    assert clone.ref(branch.ref) is None


def test_a_crash_between_push_and_local_branch_is_healed_by_the_next_fetch(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    first = deploy(clone, branch, 1, remote=remote)
    commit = write_commit(clone, build_tree({}), parent=first, message="pushed\n", now=2)
    push(clone, remote, [RefUpdate(ref=branch.ref, new=commit, old=first)])
    assert clone.ref(branch.ref) == first
    fetch_artifacts(clone, branch, remote)
    assert clone.ref(branch.ref) == server.ref(branch.ref) == commit


def test_several_refs_are_pushed_all_or_none(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    first = deploy(server, branch, 1)
    fetch_artifacts(clone, branch, remote)
    new = write_commit(clone, build_tree({}), parent=first, message="x\n", now=2)
    updates = [
        RefUpdate(ref=branch.ref, new=new, old=first),
        RefUpdate(ref="refs/heads/other", new=new, old=first),
    ]
    with pytest.raises(RefMovedError) as raised:
        push(clone, remote, updates)
    assert raised.value.ref == "refs/heads/other"
    assert server.ref(branch.ref) == first


@pytest.mark.parametrize("case", ["ahead", "diverged", "only here"])
def test_local_commits_that_the_remote_lacks_stop_everything_and_stay(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch, case: str
) -> None:
    if case != "only here":
        deploy(server, branch, 1)
        fetch_artifacts(clone, branch, remote)
    ours = deploy(clone, branch, 2)
    theirs = deploy(server, branch, 3) if case == "diverged" else server.ref(branch.ref)
    with pytest.raises(DivergedError, match="nothing was changed") as raised:
        fetch_artifacts(clone, branch, remote)
    assert "git " in raised.value.hint
    assert (clone.ref(branch.ref), server.ref(branch.ref)) == (ours, theirs)


def test_a_remote_branch_that_was_rewound_is_not_followed(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    first = deploy(server, branch, 1)
    second = deploy(server, branch, 2)
    fetch_artifacts(clone, branch, remote)
    git(server.git_dir, "update-ref", branch.ref, first)
    with pytest.raises(DivergedError):
        fetch_artifacts(clone, branch, remote)
    assert clone.ref(branch.ref) == second
    git(server.git_dir, "update-ref", "-d", branch.ref)
    with pytest.raises(DivergedError):
        fetch_artifacts(clone, branch, remote)
    assert clone.ref(branch.ref) == second
    assert clone.ref(tracking_ref(remote, branch.ref)) is None


def test_a_hook_of_the_server_runs_and_its_words_reach_the_reader(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    hook = server.git_dir / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'only on weekdays' >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(RemoteRejectedError, match="only on weekdays"):
        deploy(clone, branch, 1, remote=remote)
    assert clone.ref(branch.ref) is None


def test_a_hook_of_the_clone_does_not_run_on_push(clone: Repository, remote: Remote, branch: ArtifactBranch) -> None:
    hook = clone.git_dir / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    deploy(clone, branch, 1, remote=remote)


def test_push_settings_of_the_clone_do_not_widen_what_is_pushed(
    clone: Repository, remote: Remote, server: Repository, branch: ArtifactBranch
) -> None:
    git(clone.git_dir, "config", "push.followTags", "true")
    git(clone.git_dir, "config", "remote.origin.mirror", "true")
    deploy(clone, branch, 1, remote=remote)
    git(clone.git_dir, "tag", "-a", "-m", "x", "v1", branch.ref)
    deploy(clone, branch, 2, remote=remote)
    assert server.ref("refs/tags/v1") is None
    assert server.ref("refs/heads/main") is not None


def test_a_remote_that_is_gone_is_unreachable(
    clone: Repository, remote: Remote, bare: Path, branch: ArtifactBranch
) -> None:
    bare.rename(bare.with_name("elsewhere"))
    with pytest.raises(RemoteUnreachableError, match=r"fleet\.git"):
        fetch_artifacts(clone, branch, remote)
    with pytest.raises(RemoteUnreachableError):
        deploy(clone, branch, 1, remote=remote)


def test_a_remote_that_does_not_answer_meets_the_deadline(
    clone: Repository, remote: Remote, branch: ArtifactBranch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        git(clone.git_dir, "remote", "set-url", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/x")
        with pytest.raises(RemoteUnreachableError, match="no answer before the deadline"):
            fetch_artifacts(clone, branch, remote, deadline=0.5)


def answer_once(listener: socket.socket, answer: bytes) -> None:
    for _ in range(3):
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(65536)
            connection.sendall(answer)


def test_a_refused_login_is_an_authentication_error_and_shows_no_password(
    clone: Repository, branch: ArtifactBranch
) -> None:
    answer = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_once, args=(listener, answer), daemon=True).start()
        url = f"http://deployer:hunter2@127.0.0.1:{listener.getsockname()[1]}/x"
        git(clone.git_dir, "remote", "set-url", "origin", url)
        remote = find_remote(clone)
        assert remote is not None
        with pytest.raises(RemoteAuthenticationError) as raised:
            fetch_artifacts(clone, branch, remote, deadline=20)
        listener.shutdown(socket.SHUT_RDWR)
    chain: BaseException | None = raised.value
    while chain is not None:
        assert "hunter2" not in str(chain)
        chain = chain.__cause__ or chain.__context__
    assert "hunter2" not in repr(remote)


def test_ssh_is_never_interactive_and_honours_the_clones_own_command(
    clone: Repository, branch: ArtifactBranch, tmp_path: Path
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "Host key verification failed." >&2\nexit 255\n')
    ssh.chmod(0o755)
    git(clone.git_dir, "config", "core.sshCommand", f"{ssh} -i key")
    git(clone.git_dir, "config", "ssh.variant", "ssh")
    git(clone.git_dir, "remote", "set-url", "origin", "git@host.invalid:fleet.git")
    remote = find_remote(open_at(clone.git_dir))
    assert remote is not None
    with pytest.raises(RemoteAuthenticationError, match="Host key verification failed") as raised:
        fetch_artifacts(clone, branch, remote)
    assert "known_hosts" in raised.value.hint
    assert "-i key -oBatchMode=yes" in (tmp_path / "arguments").read_text()


def test_a_remote_that_runs_commands_is_refused_by_git(
    clone: Repository, remote: Remote, branch: ArtifactBranch, tmp_path: Path
) -> None:
    git(clone.git_dir, "config", "protocol.allow", "always")
    git(clone.git_dir, "remote", "set-url", "origin", f"ext::touch {tmp_path}/ran")
    with pytest.raises(RepositoryError, match="'ext' not allowed"):
        fetch_artifacts(clone, branch, remote)
    assert not (tmp_path / "ran").exists()


def test_which_remote_is_followed(bare: Path, clone: Repository) -> None:
    assert find_remote(clone, "upstream") is None
    assert find_remote(open_at(bare)) is None  # what `git clone --bare` left there is not followed
    identities = set()
    for url in (str(bare), "../fleet.git", f"file://{bare}/"):
        git(clone.git_dir, "remote", "set-url", "origin", url)
        found = find_remote(open_at(clone.git_dir))
        assert found is not None
        identities.add(found.identity)
    assert identities == {open_at(bare).identity}


def test_leftover_git_variables_do_not_lead_elsewhere(
    clone: Repository, remote: Remote, branch: ArtifactBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='rubbish'")
    assert deploy(clone, branch, 1, remote=remote) == clone.ref(branch.ref)
    assert "GIT_DIR" in os.environ
