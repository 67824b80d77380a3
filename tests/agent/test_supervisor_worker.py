"""The built-in worker under supervisor: real processes, no root, no systemd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.interpreters import VERSIONS, interpreter
from tests.agent.releases import OWNER, TestJob, activation, release_of
from tests.agent.worker import Refused, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agent.releases import TestRelease

A, B, C = "orders.a.0", "orders.b.0", "orders.c.0"
UNIT_A, UNIT_B = f"gitopsd-{A}.service", f"gitopsd-{B}.service"
TWO = release_of(TestJob(name=A), TestJob(name=B))
TWO_CHANGED = release_of(TestJob(name=A, version="2"), TestJob(name=B))


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def pid(state: dict[str, Any], unit: str) -> int:
    return int(state["units"][unit]["main_pid"])


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    # a zombie whose new parent doesn't look after it runs nothing
    return status.rpartition(")")[2].split()[0] != "Z"


def processes_of(worker: Worker) -> set[int]:
    """Processes whose environment or command names the worker's directory."""
    mark = os.fsencode(worker.root)
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes() + (directory / "cmdline").read_bytes():
                found.add(int(directory.name))
        except OSError:
            continue
    return found - {os.getpid()}


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of all that the agent writes."""
    skipped = ("logs", "supervisord.log", "starts", "lock")
    return {
        str(path.relative_to(directory)): (path.lstat().st_ino, path.lstat().st_ctime_ns)
        for path in directory.rglob("*")
        if not any(part in skipped for part in path.parts)
    }


def test_a_job_with_a_user_of_its_own_runs_as_whoever_applied(worker: Worker) -> None:
    answer = worker.activate(release_of(TestJob(name=A, user="nosuchuser")))
    assert answer["failed"] == {}
    status = Path(f"/proc/{pid(answer['observation'], UNIT_A)}/status").read_text()
    assert f"Uid:\t{os.geteuid()}\t" in status


def test_a_first_activation_runs_the_jobs(worker: Worker) -> None:
    answer = worker.activate(TWO)
    assert (answer["started"], answer["failed"], answer["unchanged"]) == ([A, B], {}, [])
    state = answer["observation"]
    assert state["release"] == state["tree"] == TWO.id
    assert state["owner"] == OWNER
    assert {unit: shown["active"] for unit, shown in state["units"].items()} == {UNIT_A: "active", UNIT_B: "active"}
    assert alive(pid(state, UNIT_A))
    assert (state["interrupted"], state["busy"]) == (False, False)


def test_a_second_activation_touches_nothing(worker: Worker) -> None:
    worker.activate(TWO)
    before, state = snapshot(worker.root), worker.observe()
    answer = worker.activate(TWO)
    assert answer["unchanged"] == [A, B]
    assert not answer["started"] + answer["restarted"] + answer["stopped"]
    assert answer["daemon_reload"] is False
    assert snapshot(worker.root) == before
    assert answer["observation"]["units"] == state["units"]


def test_only_the_job_that_changed_is_restarted_and_only_its_blobs_travel(worker: Worker) -> None:
    before = worker.activate(TWO)["observation"]
    answer = worker.activate(TWO_CHANGED, TWO)
    assert (answer["restarted"], answer["unchanged"]) == ([A], [B])
    after = answer["observation"]
    assert pid(after, UNIT_B) == pid(before, UNIT_B)
    assert pid(after, UNIT_A) != pid(before, UNIT_A)
    assert not alive(pid(before, UNIT_A))
    assert worker.starts(A) == ["1", "2"]


def test_a_job_that_left_the_release_is_gone(worker: Worker) -> None:
    before = worker.activate(TWO)["observation"]
    answer = worker.activate(release_of(TestJob(name=B)))
    assert answer["stopped"] == [A]
    assert list(answer["observation"]["units"]) == [UNIT_B]
    assert not alive(pid(before, UNIT_A))
    assert (worker.root / "state" / A).is_dir(), "its state survives, for a rollback"


def test_a_hot_edit_is_seen_and_healed_and_its_job_runs_anew(worker: Worker) -> None:
    worker.activate(TWO)
    release = worker.root / "releases" / TWO.id
    (release / f"jobs/{A}/job.json").write_text('{"edited": true}')
    (release / f"jobs/{A}/extra").write_text("x")
    (release / "units").rename(release / "moved")
    (release / "units").symlink_to("/etc")
    state = worker.observe()
    assert state["release"] == TWO.id != state["tree"]
    paths = {path for path, _, _ in state["files"]}
    assert {f"jobs/{A}/extra", "units"} <= paths
    answer = worker.activate(TWO)
    assert (answer["restarted"], answer["unchanged"]) == ([A], [B])
    assert answer["observation"]["tree"] == TWO.id
    assert "files" not in answer["observation"]


def test_an_edited_release_heals_without_its_blobs_being_sent_when_another_release_has_them(worker: Worker) -> None:
    worker.activate(TWO)
    worker.activate(TWO_CHANGED, TWO)
    edited = worker.root / "releases" / TWO_CHANGED.id / "runtime/launch.py"
    edited.unlink()
    edited.write_text("broken")
    answer = worker.activate(TWO_CHANGED, TWO_CHANGED)
    assert answer["restarted"] == [A, B], "all jobs share the runtime"


def test_blobs_that_are_nowhere_are_named(worker: Worker) -> None:
    with pytest.raises(Refused) as refused:
        worker.activate(TWO, TWO)
    assert refused.value.code == "bad-payload"
    assert refused.value.details["missing"] == sorted({entry.blob for entry in TWO.entries})
    assert worker.observe()["release"] is None


def test_another_owner_is_refused_and_nothing_changes(worker: Worker) -> None:
    worker.activate(TWO)
    before = snapshot(worker.root)
    other = {"root_commit": "b" * 40, "environment": "staging"}
    for verb, body in (
        ("activate", activation(TWO_CHANGED, owner=other)[0]),
        ("observe", {"owner": other["root_commit"]}),
        ("teardown", {"owner": other["root_commit"]}),
    ):
        with pytest.raises(Refused, match=r"environment production.*`gitopsd worker teardown`") as refused:
            worker.call(verb, body, activation(TWO_CHANGED)[1] if verb == "activate" else b"")
        assert refused.value.code == "owned-by-another"
    assert snapshot(worker.root) == before


def test_a_job_that_does_not_come_up_is_reported_with_its_last_words_and_the_others_go_on(worker: Worker) -> None:
    release = release_of(TestJob(name=A, settings={"exit": 3}), TestJob(name=B))
    answer = worker.activate(release)
    assert answer["started"] == [B]
    assert "ended soon" in answer["failed"][A]["message"]
    assert f"last words of {A}" in answer["failed"][A]["log"]
    assert A not in answer["observation"]["applied"]
    assert worker.call("logs", {"job": A, "lines": 1})["lines"]


def test_a_service_that_is_killed_comes_back(worker: Worker) -> None:
    before = pid(worker.activate(TWO)["observation"], UNIT_A)
    os.kill(before, signal.SIGKILL)
    until(lambda: pid(worker.observe(), UNIT_A) not in (0, before))


def test_restarts_are_counted_since_the_job_was_last_deployed(worker: Worker) -> None:
    def restarts() -> int:
        return int(worker.observe()["units"][UNIT_A]["restarts"])

    assert worker.activate(TWO)["observation"]["units"][UNIT_A]["restarts"] == 0
    for count in (1, 2):
        before = pid(worker.observe(), UNIT_A)
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: pid(worker.observe(), UNIT_A) not in (0, before))  # type: ignore[misc]
        until(lambda count=count: restarts() == count)  # type: ignore[misc]
    worker.activate(release_of(TestJob(name=A), TestJob(name=B, version="2")), TWO)
    assert restarts() == 2
    worker.activate(TWO_CHANGED, TWO)
    assert restarts() == 0
    worker.activate(release_of(TestJob(name=A, settings={"exit": 3})), TWO)
    until(lambda: restarts() >= 2)


def test_a_reload_reaches_the_running_process(worker: Worker) -> None:
    def release(version: str) -> TestRelease:
        return release_of(TestJob(name=A, version=version, on_change="reload", settings={"reloads": True}))

    before = worker.activate(release("1"))["observation"]
    answer = worker.activate(release("2"))
    assert (answer["reloaded"], answer["failed"]) == ([A], {})
    assert pid(answer["observation"], UNIT_A) == pid(before, UNIT_A)
    assert (worker.root / "state" / A / "reloads").read_text() == "1\n"
    assert worker.activate(release("2"))["unchanged"] == [A]


def test_a_job_that_a_reload_ends_is_reported(worker: Worker) -> None:
    worker.activate(release_of(TestJob(name=A, on_change="reload")))
    answer = worker.activate(release_of(TestJob(name=A, version="2", on_change="reload")))
    assert "must handle that signal" in answer["failed"][A]["message"]
    assert A not in answer["observation"]["applied"]


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    odd = "it's 100% a\\b;#=,(d) %(here)s $HOME é"
    python = tmp_path / odd / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    worker = Worker(tmp_path, supervisor_python=str(python), name=odd)
    worker.agent.rename(tmp_path / odd / "agent.py")
    worker.agent = tmp_path / odd / "agent.py"
    try:
        assert worker.activate(TWO)["started"] == [A, B]
        assert worker.activate(TWO)["unchanged"] == [A, B]
        assert worker.activate(TWO_CHANGED, TWO)["restarted"] == [A]
        assert worker.starts(A) == ["1", "2"]
        assert f"starting {A} 2" in worker.call("logs", {"job": A, "lines": 5})["lines"]
    finally:
        agent = tmp_path / "agent.py"
        agent.write_bytes(worker.agent.read_bytes())
        worker.agent = agent
        worker.close()


def test_a_job_that_runs_once_is_not_run_again_until_it_changes(worker: Worker) -> None:
    release = release_of(TestJob(name=C, kind="once"))
    worker.activate(release)
    until(lambda: worker.observe()["completed"] == [C])
    assert worker.activate(release)["unchanged"] == [C]
    assert worker.starts(C) == ["1"]
    worker.activate(release_of(TestJob(name=C, kind="once", version="2")), release)
    until(lambda: worker.starts(C) == ["1", "2"])


def test_a_job_that_runs_once_is_not_waited_for_and_a_new_version_stops_the_old(worker: Worker) -> None:
    release = release_of(TestJob(name=C, kind="once", settings={"seconds": 600}))
    old = pid(worker.activate(release)["observation"], f"gitopsd-{C}.service")
    changed = release_of(TestJob(name=C, kind="once", version="2", settings={"seconds": 600}))
    answer = worker.activate(changed, release)
    assert answer["restarted"] == [C]
    assert pid(answer["observation"], f"gitopsd-{C}.service") not in (0, old)
    assert not alive(old)


def test_a_killed_supervisor_is_seen_and_replaced_and_no_job_runs_twice(worker: Worker) -> None:
    before = worker.activate(TWO)["observation"]
    supervisor = int((worker.root / "supervisor/supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not alive(supervisor))
    state = worker.observe()
    assert {shown["active"] for shown in state["units"].values()} == {"inactive"}
    assert alive(pid(before, UNIT_A)), "the orphan still runs, and must not run beside a second copy"
    answer = worker.activate(TWO)
    assert answer["started"] == [A, B]
    assert not alive(pid(before, UNIT_A))
    assert len(processes_of(worker)) == 3


def test_a_supervisor_whose_socket_is_gone_is_replaced(worker: Worker) -> None:
    before = worker.activate(TWO)["observation"]
    (worker.run / "supervisor.sock").unlink()
    assert worker.activate(TWO)["started"] == [A, B]
    assert not alive(pid(before, UNIT_A))


def test_supervisor_holds_nothing_of_its_caller(worker: Worker) -> None:
    body, payload = activation(TWO)
    # the pipes end when the agent ends, though supervisord lives on: this would hang otherwise
    worker.process("activate", worker.request(body, payload))
    supervisor = int((worker.root / "supervisor/supervisord.pid").read_text())
    assert os.getpgid(supervisor) != os.getpgid(0)
    assert {str(Path(f"/proc/{supervisor}/fd/{number}").readlink()) for number in (0, 1, 2)} == {"/dev/null"}


def test_teardown_leaves_nothing(worker: Worker) -> None:
    worker.activate(TWO)
    mine = processes_of(worker)
    assert len(mine) == 3
    answer = worker.teardown()
    assert answer["units"] == [UNIT_A, UNIT_B]
    assert answer["directories"] == [str(worker.root), str(worker.run)]
    assert not worker.root.exists()
    assert not worker.run.exists()
    until(lambda: not any(alive(process) for process in mine))
    assert worker.teardown()["units"] == []


def test_prune_spares_what_is_kept_current_or_run_from(worker: Worker) -> None:
    releases = [TWO, *(release_of(TestJob(name=A, version=str(n)), TestJob(name=B)) for n in (2, 3, 4))]
    for release in releases:
        worker.activate(release)
    # B never changed, so it still runs from the first release
    answer = worker.call("prune", {"keep": [releases[1].id]})
    assert answer["removed"] == [releases[2].id]
    assert answer["in_use"] == [releases[0].id]
    assert worker.observe()["releases"] == sorted(release.id for release in (releases[0], releases[1], releases[3]))


def test_a_worker_that_is_busy_says_so(worker: Worker) -> None:
    worker.activate(TWO)
    hold = (
        "import fcntl, sys; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(worker.root / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(Refused) as refused:
            worker.activate(TWO_CHANGED, TWO, deadline=0.2)
        assert refused.value.code == "busy"
        assert worker.observe()["busy"] is True
        holder.communicate(b"\n")
    assert worker.activate(TWO_CHANGED, TWO)["restarted"] == [A]


def test_directories_of_jobs_are_made_and_a_refused_one_fails_its_job_only(worker: Worker) -> None:
    wanted = worker.directory / "out/deep"
    release = release_of(
        TestJob(name=A, directories=(str(wanted),)), TestJob(name=B, directories=("/etc/gitopsd-test-must-not-exist",))
    )
    answer = worker.activate(release)
    assert wanted.is_dir()
    assert answer["started"] == [A]
    assert "/etc" in answer["failed"][B]["message"]
    assert not Path("/etc/gitopsd-test-must-not-exist").exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_python_runs_the_agent(tmp_path: Path, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"needs python{version} on PATH, or from pyenv or uv")
    worker = Worker(tmp_path, python=python)
    try:
        assert worker.activate(TWO)["started"] == [A, B]
        assert worker.activate(TWO_CHANGED, TWO)["restarted"] == [A]
        assert worker.call("probe")["python"].startswith(version)
    finally:
        worker.close()
