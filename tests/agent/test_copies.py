"""Unmanaged copies on the built-in worker: real processes, no root, no systemd."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.releases import OWNER, TestJob, encoded, release_of
from tests.agent.worker import Refused, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = "orders.a.0", "orders.b.0"
TWO = release_of(TestJob(name=A), TestJob(name=B))
TWO_CHANGED = release_of(TestJob(name=A, version="2"), TestJob(name=B))
ONLY_B = release_of(TestJob(name=B, version="2"))
OWN = {"owner": OWNER["root_commit"]}


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def clone(worker: Worker, job: str = A, name: str = "mine", *, start: bool = True) -> dict[str, Any]:
    copy: dict[str, Any] = worker.call("clone", {**OWN, "job": job, "name": name, "start": start})["copy"]
    return copy


def copies(worker: Worker) -> dict[str, Any]:
    return {one["name"]: one for one in worker.call("copies", OWN)["copies"]}


def pid(worker: Worker, name: str = "mine") -> int:
    state = copies(worker)[name]["state"]
    return int(state["main_pid"]) if state["active"] == "active" else 0


def starts(worker: Worker, name: str = "mine") -> list[str]:
    path = worker.root / "copies" / name / "state/starts"
    return path.read_text().split() if path.exists() else []


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_copy_is_made_and_not_started(worker: Worker) -> None:
    worker.activate(TWO)
    made = clone(worker, start=False)
    assert (made["job"], made["release"], made["state"]["active"]) == (A, TWO.id, "inactive")
    assert made["state"]["enabled"] is False
    for shared in ("runtime/launch.py", "libraries/nats/nats/__init__.py"):
        assert (worker.root / "copies/mine" / shared).read_bytes() == TWO.files[shared][1]
    assert starts(worker) == []


def test_a_copy_runs_untouched_through_deployments_that_change_and_remove_its_job(worker: Worker) -> None:
    worker.activate(TWO)
    clone(worker)
    path = worker.root / "copies/mine/jobs/mine/job.json"
    path.write_text(path.read_text().replace('"version": "1"', '"version": "by hand"'))
    before, text = pid(worker), path.read_text()
    assert before
    for release in (TWO_CHANGED, ONLY_B, TWO):
        answer = worker.activate(release)
        assert not answer["failed"]
        assert answer["observation"]["copies"] == ["mine"]
        assert not [unit for unit in answer["observation"]["units"] if "copy" in unit], "a copy is nobody's orphan"
    worker.call("prune", {"keep": []})
    assert pid(worker) == before
    assert path.read_text() == text
    assert starts(worker) == ["1"]


def test_a_copy_runs_from_its_own_files_when_the_release_is_gone(worker: Worker) -> None:
    worker.activate(TWO)
    clone(worker)
    worker.activate(ONLY_B)
    worker.call("prune", {"keep": []})
    assert worker.observe()["releases"] == [ONLY_B.id]
    os.kill(pid(worker), signal.SIGKILL)
    until(lambda: len(starts(worker)) == 2 and pid(worker) > 0)


def test_a_started_copy_runs_once_again_after_supervisord_was_killed(worker: Worker) -> None:
    worker.activate(TWO)
    clone(worker)
    clone(worker, name="idle", start=False)
    first = pid(worker)
    daemon = int((worker.root / "supervisor/supervisord.pid").read_text())
    os.kill(daemon, signal.SIGKILL)
    worker.activate(TWO)
    until(lambda: pid(worker) not in (0, first))
    assert not alive(first), "the one of before must not run beside it"
    assert pid(worker, "idle") == 0


def test_removing_a_copy_removes_all_of_it_and_nothing_else(worker: Worker) -> None:
    worker.activate(TWO)
    before = worker.observe()
    clone(worker)
    clone(worker, job=B, name="other")
    mine, other = pid(worker), pid(worker, "other")
    assert worker.call("remove-copy", {**OWN, "name": "mine"})["removed"] == ["mine"]
    assert not alive(mine)
    assert sorted(path.name for path in (worker.root / "copies").iterdir()) == ["other"]
    assert pid(worker, "other") == other
    assert worker.observe()["units"] == before["units"]
    with pytest.raises(Refused, match="not-found"):
        worker.call("remove-copy", {**OWN, "name": "mine"})


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"job": "orders.x.0", "name": "mine"}, "not-found"),
        ({"job": A, "name": "taken"}, "exists"),
        ({"job": "../../etc", "name": "mine"}, "protocol"),
        ({"job": A, "name": "../mine"}, "protocol"),
        ({"job": A, "name": "orders.a.0"}, "protocol"),
        ({"job": A, "name": "mine", "owner": "b" * 40}, "owned-by-another"),
    ],
)
def test_what_can_not_be_copied_is_refused(worker: Worker, request_: dict[str, Any], code: str) -> None:
    worker.activate(TWO)
    clone(worker, name="taken", start=False)
    with pytest.raises(Refused) as refused:
        worker.call("clone", {**OWN, "start": False, **request_})
    assert refused.value.code == code
    assert sorted(path.name for path in (worker.root / "copies").iterdir()) == ["taken"]


def test_nothing_can_be_copied_before_the_first_release(worker: Worker) -> None:
    with pytest.raises(Refused, match="gitopsd apply"):
        clone(worker)


def test_a_copy_keeps_the_secrets_of_its_making(worker: Worker) -> None:
    release = release_of(TestJob(name=A, secrets=("token",)))
    worker.activate(release, credentials=encoded({"token": b"first"}))
    clone(worker)
    path = worker.root / "copies/mine/credentials/token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    held = worker.root / "copies/mine/state/held"
    until(lambda: held.exists() and held.stat().st_size > 0)
    before = held.read_text()
    worker.activate(release, release, credentials=encoded({"token": b"second"}))
    assert path.read_bytes() == b"first"
    os.kill(pid(worker), signal.SIGKILL)
    until(lambda: len(starts(worker)) == 2)
    assert held.read_text() == before
    worker.call("remove-copy", {**OWN, "name": "mine"})
    assert not (worker.root / "copies/mine").exists()


def test_what_was_left_half_made_is_swept_and_shown_as_nothing(worker: Worker) -> None:
    worker.activate(TWO)
    half = worker.root / "copies/.mine/jobs"
    half.mkdir(parents=True)
    assert copies(worker) == {}
    assert "copies" not in worker.observe()
    clone(worker)
    assert sorted(path.name for path in (worker.root / "copies").iterdir()) == ["mine"]


def test_teardown_refuses_while_there_are_copies_unless_they_go_too(worker: Worker) -> None:
    worker.activate(TWO)
    clone(worker)
    mine = pid(worker)
    with pytest.raises(Refused) as refused:
        worker.teardown()
    assert refused.value.code == "has-copies"
    assert refused.value.details["copies"] == ["mine"]
    assert pid(worker) == mine
    assert len(worker.observe()["units"]) == 2
    worker.call("teardown", {**OWN, "with_copies": True})
    assert not worker.root.exists()
    assert not alive(mine)


def test_a_damaged_record_keeps_nobody_from_deploying_or_removing(worker: Worker) -> None:
    worker.activate(TWO)
    clone(worker, start=False)
    (worker.root / "copies/mine/copy.json").write_text("{")
    assert not worker.activate(TWO_CHANGED)["failed"]
    assert copies(worker)["mine"]["job"] == ""
    worker.call("remove-copy", {**OWN, "name": "mine"})
    assert copies(worker) == {}


def test_a_copy_of_kind_once_runs_to_its_end(worker: Worker) -> None:
    worker.activate(release_of(TestJob(name=A, kind="once")))
    clone(worker)
    until((worker.root / "copies/mine/state/completed").exists)
    assert json.loads((worker.root / "copies/mine/copy.json").read_text())["job"] == A
