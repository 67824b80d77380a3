"""Nothing that was committed is ever lost: races, crashes, rewinds."""

import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from gitopsd.model.trees import build_tree
from gitopsd.repo.artifacts import ArtifactBranch, artifact_branch, deployments, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RefMovedError, RepositoryError
from gitopsd.repo.publish import fetch_artifacts, publish, write_deployment
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import Repository, open_at
from tests.canary import processes_with
from tests.operator import eventually
from tests.repo.gitrepo import GitRepo, deploy, git, trailers

SPAWN = get_context("spawn")


def numbers(repository: Repository, branch: ArtifactBranch) -> list[int]:
    head = repository.ref(branch.ref)
    found = [commit.trailers for commit in deployments(repository, head)] if head else []
    return [trailer.deployment for trailer in found if trailer is not None]


def check(repository: Repository) -> None:
    git(repository.git_dir, "fsck", "--strict", "--no-dangling")


def deploy_in_a_race(path: Path, count: int, writer: int) -> None:
    """As a controller does: read, build on that, publish; on a lost race all over."""
    repository, branch = open_at(path), artifact_branch("production")
    remote = find_remote(repository)
    done = 0
    while done < count:
        fetch_artifacts(repository, branch, remote)
        head = read_head(repository, branch)
        number = (
            1 if head is None or head.deployment is None else 1 + (head.deployment.trailers or trailers(0)).deployment
        )
        tree = build_tree({"state": (f"{writer} {done}\n".encode(), False)})
        try:
            write_deployment(
                repository, branch, remote, tree, head=head, subject=f"writer {writer}", trailers=trailers(number)
            )
        except RefMovedError:
            time.sleep(random.uniform(0, 0.005))  # noqa: S311 - jitter
        else:
            done += 1


def deploy_until_killed(path: Path) -> None:
    deploy_in_a_race(path, 1_000_000, 0)


def write_objects_and_hang(path: Path) -> None:
    """All that a deployment does up to the moment before its ref moves."""
    repository, branch = open_at(path), artifact_branch("production")
    head = read_head(repository, branch)
    tree = build_tree({"state": (os.urandom(100), False)})
    write_commit(repository, tree, parent=head.commit.id if head else None, message="never published\n")
    (path / "written").touch()
    time.sleep(600)


def spawn(target: Callable[..., None], *arguments: object) -> BaseProcess:
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


@pytest.mark.parametrize("with_remote", [False, True])
def test_processes_that_race_lose_no_deployment(tmp_path: Path, bare: Path, with_remote: bool) -> None:
    if with_remote:
        clones = [tmp_path / f"clone{number}" for number in range(3)]
        for clone in clones:
            git(tmp_path, "clone", "-q", str(bare), str(clone))
    else:
        clones = [bare] * 3
    racers = [spawn(deploy_in_a_race, clone, 8, number) for number, clone in enumerate(clones)]
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    repository, branch = open_at(bare), artifact_branch("production")
    assert numbers(repository, branch) == list(range(24, 0, -1))
    subjects = git(bare, "log", "--format=%s", branch.ref).splitlines()
    assert {subject: subjects.count(subject) for subject in subjects} == {f"writer {number}": 8 for number in range(3)}
    check(repository)


def test_of_several_that_create_the_branch_one_wins(repository: Repository, branch: ArtifactBranch) -> None:
    first = deploy(repository, branch, 1)
    with pytest.raises(RefMovedError) as raised:
        write_deployment(repository, branch, None, build_tree({}), head=None, subject="me too", trailers=trailers(1))
    assert (raised.value.expected, raised.value.actual) == (None, first)
    assert repository.ref(branch.ref) == first


def test_a_deployment_on_a_head_that_moved_is_refused_and_changes_nothing(
    repository: Repository, branch: ArtifactBranch
) -> None:
    deploy(repository, branch, 1)
    stale = read_head(repository, branch)
    second = deploy(repository, branch, 2)
    with pytest.raises(RefMovedError):
        write_deployment(repository, branch, None, build_tree({}), head=stale, subject="late", trailers=trailers(2))
    assert repository.ref(branch.ref) == second


def test_a_branch_deleted_meanwhile_is_not_brought_back_under_the_caller(
    repository: Repository, branch: ArtifactBranch
) -> None:
    deploy(repository, branch, 1)
    stale = read_head(repository, branch)
    git(repository.git_dir, "update-ref", "-d", branch.ref)
    with pytest.raises(RefMovedError):
        write_deployment(repository, branch, None, build_tree({}), head=stale, subject="x", trailers=trailers(2))
    assert repository.ref(branch.ref) is None


def test_an_update_that_would_lose_commits_is_refused(repository: Repository, branch: ArtifactBranch) -> None:
    first = deploy(repository, branch, 1)
    second = deploy(repository, branch, 2)
    with pytest.raises(RepositoryError, match="would lose commits"):
        publish(repository, [RefUpdate(ref=branch.ref, new=first, old=second)], None, reason="rewind")
    assert repository.ref(branch.ref) == second


def test_killed_between_pack_and_ref_the_branch_is_as_before_and_the_next_run_goes_on(
    repository: Repository, branch: ArtifactBranch, source: GitRepo
) -> None:
    first = deploy(repository, branch, 1)
    process = spawn(write_objects_and_hang, source.path)
    wait_for(source.path / "written")
    kill(process)
    assert repository.ref(branch.ref) == first
    check(repository)
    deploy(repository, branch, 2)
    assert numbers(repository, branch) == [2, 1]
    check(repository)


def test_killed_at_any_moment_the_repository_stays_whole(bare: Path) -> None:
    repository, branch = open_at(bare), artifact_branch("production")
    rng = random.Random(4)  # noqa: S311 - the same moments every time
    for _ in range(6):
        before = len(numbers(repository, branch))
        process = spawn(deploy_until_killed, bare)
        for _ in range(1200):
            if len(numbers(repository, branch)) > before + 1:
                break
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.05))
        kill(process)
        eventually("a `git update-ref` that was under way has ended", lambda: not processes_with(str(bare)))
        check(repository)
        found = numbers(repository, branch)
        assert found == list(range(len(found), 0, -1))
        assert len(found) > before
    deploy_in_a_race(bare, 1, 1)


def test_a_branch_that_is_checked_out_is_not_moved_under_its_files(
    source: GitRepo, repository: Repository, branch: ArtifactBranch
) -> None:
    deploy(repository, branch, 1)
    source.git("switch", "-q", branch.name)
    with pytest.raises(RepositoryError, match="checked out") as raised:
        deploy(repository, branch, 2)
    assert "git switch" in raised.value.hint
    source.git("switch", "-q", "main")
    deploy(repository, branch, 2)


def test_a_lock_file_left_by_a_crash_is_named(repository: Repository, branch: ArtifactBranch) -> None:
    deploy(repository, branch, 1)
    lock = repository.git_dir / f"{branch.ref}.lock"
    lock.touch()
    with pytest.raises(RepositoryError, match=r"\.lock") as raised:
        deploy(repository, branch, 2)
    assert not isinstance(raised.value, RefMovedError)
    assert ".lock" in raised.value.hint
    lock.unlink()
    deploy(repository, branch, 2)


def test_a_repository_that_cannot_be_written_says_so(
    repository: Repository, branch: ArtifactBranch, source: GitRepo
) -> None:
    source.write(".git/refs/heads/rendered", "in the way")  # even root cannot make refs/heads/rendered/production now
    with pytest.raises(RepositoryError) as raised:
        deploy(repository, branch, 1)
    assert not isinstance(raised.value, RefMovedError)


def test_hooks_of_the_clone_do_not_run(source: GitRepo, repository: Repository, branch: ArtifactBranch) -> None:
    source.write(".git/hooks/reference-transaction", "#!/bin/sh\ntouch ran; exit 1\n", executable=True)
    deploy(repository, branch, 1)
    assert not list(source.path.rglob("ran"))


def test_a_hostile_subject_does_not_change_what_the_deployment_says(
    repository: Repository, branch: ArtifactBranch
) -> None:
    subject = "x\n\nDeployment: 99\nEnvironment: other"
    write_deployment(repository, branch, None, build_tree({}), head=None, subject=subject, trailers=trailers(1))
    head = read_head(repository, branch)
    assert head is not None
    assert head.commit.trailers == trailers(1)


def test_processes_that_share_one_clone_race_as_well(tmp_path: Path, bare: Path) -> None:
    git(tmp_path, "clone", "-q", str(bare), "clone")
    racers = [spawn(deploy_in_a_race, tmp_path / "clone", 6, number) for number in range(3)]
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    assert numbers(open_at(bare), artifact_branch("production")) == list(range(18, 0, -1))
    assert numbers(open_at(tmp_path / "clone"), artifact_branch("production")) == list(range(18, 0, -1))
