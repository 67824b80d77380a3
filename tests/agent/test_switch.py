"""The switch's marker, patience and confirmation, without a machine: tests/fleet/test_switch.py has those with one."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from gitopsd.agent import bus_wire, marker, records, reserve, unitfiles
from gitopsd.agent.arm import process_started
from gitopsd.agent.confirm import confirm
from gitopsd.agent.deadline import Deadline
from gitopsd.agent.errors import AgentError
from gitopsd.agent.layout import Layout
from gitopsd.agent.records import Owner
from gitopsd.agent.rollback import roll_back
from gitopsd.agent.scope import leave_session
from gitopsd.agent.store import swap
from gitopsd.agent.watch import Patience
from tests.agent.releases import TestJob, activation, release_of
from tests.agent.worker import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitopsd.agent.services import ServiceManager
    from tests.agent.worker import Worker

TOKEN, OTHER = "4be1", "7c02"
NEW, OLD = "1" * 40, "2" * 40
JOB = "orders.a.0"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    root = tmp_path / "lib/gitopsd"
    root.mkdir(parents=True)
    layout = Layout(root=root, run=tmp_path / "run/gitopsd", service_manager="systemd", supervisor_python=None)
    swap(layout, NEW)
    return layout


def armed(layout: Layout, **changes: Any) -> marker.Marker:
    """A marker on disk: by default one that waits for 30 s more."""
    made = marker.Marker(
        token=TOKEN,
        release=NEW,
        previous=OLD,
        credentials=None,
        confirm_timeout=60.0,
        phase=marker.WAITING,
        boot=marker.boot_id(),
        limit=marker.now() + 100,
        due=marker.now() + 30,
        process=(1, 1),
    )._replace(**changes)
    marker.replace(layout, made)
    return made


@contextmanager
def lock_held(layout: Layout) -> Iterator[None]:
    with layout.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_what_was_written_is_read(layout: Layout) -> None:
    assert marker.read(layout) is None
    made = armed(layout, way_in={"units": ["ssh.service"], "links": ["eth0"]})
    assert marker.read(layout) == made
    shown = marker.as_json(layout)
    assert shown is not None
    assert 0 < shown.pop("seconds_left") <= 30
    assert shown == {"release": NEW, "previous": OLD, "token": TOKEN, "phase": "waiting"}
    assert layout.armed.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"token": "a"}', '{"process": 1}'])
def test_a_damaged_marker_says_nothing(layout: Layout, text: str) -> None:
    layout.armed.write_text(text)
    assert marker.read(layout) is None
    assert marker.as_json(layout) is None


@pytest.mark.parametrize("change", [{"release": "../x"}, {"previous": "x"}, {"process": [1]}, {"way_in": []}])
def test_a_marker_that_makes_no_sense_says_nothing(layout: Layout, change: dict[str, Any]) -> None:
    armed(layout)
    layout.armed.write_text(json.dumps({**json.loads(layout.armed.read_text()), **change}))
    assert marker.read(layout) is None


def test_once_it_is_claimed_it_is_too_late_whatever_is_killed_then(layout: Layout) -> None:
    armed(layout)
    marker.claim(layout)
    found = marker.read(layout)
    assert found is not None
    assert found.phase == marker.ROLLING_BACK
    with pytest.raises(AgentError, match="being undone") as refused:
        confirm(layout, None, TOKEN, NEW)
    assert refused.value.code == "rolled-back"
    marker.claim(layout)
    assert marker.read(layout) == found


def test_what_another_controller_has_activated_since_is_not_undone(layout: Layout) -> None:
    waiting = armed(layout)
    manager = cast("ServiceManager", None)  # nothing is asked of it
    with pytest.raises(AgentError) as refused:
        roll_back(layout, manager, "the activation failed", Deadline.after(5), release=OLD)
    assert refused.value.code == "not-armed"
    assert marker.read(layout) == waiting


def test_an_activation_takes_the_place_of_a_rollback_that_was_cut_short(layout: Layout) -> None:
    armed(layout)
    marker.claim(layout)
    made = armed(layout, token=OTHER)
    assert marker.read(layout) == made
    assert not layout.rolling_back.exists()


def test_whoever_confirms_in_time_is_told_so_every_time(layout: Layout) -> None:
    armed(layout)
    for _ in range(3):
        assert confirm(layout, None, TOKEN, NEW) == {"confirmed": True}
    assert marker.read(layout) is None


@pytest.mark.parametrize(
    ("change", "token", "code"),
    [
        ({"phase": marker.ACTIVATING, "due": None}, TOKEN, "busy"),
        ({}, OTHER, "stale"),
    ],
)
def test_a_confirmation_that_is_not_due_changes_nothing(
    layout: Layout, change: dict[str, Any], token: str, code: str
) -> None:
    made = armed(layout, **change)
    with pytest.raises(AgentError) as refused:
        confirm(layout, None, token, NEW)
    assert refused.value.code == code
    assert marker.read(layout) == made


def test_a_confirmation_that_comes_too_late_says_what_happened(layout: Layout) -> None:
    records.write_rolled_back(
        layout, {"release": NEW, "to": OLD, "at": 1.5, "reason": "nobody confirmed it", "token": TOKEN}
    )
    with pytest.raises(AgentError, match="nobody confirmed it") as refused:
        confirm(layout, None, TOKEN, NEW)
    assert refused.value.code == "rolled-back"


def test_a_confirmation_for_a_release_that_is_gone_is_refused(layout: Layout) -> None:
    with pytest.raises(AgentError) as refused:
        confirm(layout, None, TOKEN, OLD)
    assert refused.value.code == "stale"


def test_confirming_and_claiming_keep_each_other_out(layout: Layout) -> None:
    armed(layout)
    answers: list[str] = []

    def try_to_confirm() -> None:
        try:
            confirm(layout, None, TOKEN, NEW)
        except AgentError as error:
            answers.append(error.code)
        else:
            answers.append("confirmed")

    with marker.guarded(layout):
        thread = threading.Thread(target=try_to_confirm)
        thread.start()
        marker.claim(layout)
    thread.join(20)
    assert answers == ["rolled-back"]


def test_it_waits_for_the_deadline(layout: Layout) -> None:
    patience = Patience(layout)
    assert 25 < patience.seconds_left(armed(layout)) <= 30
    assert patience.seconds_left(armed(layout, due=marker.now() - 1)) == 0
    assert patience.seconds_left(armed(layout, due=marker.now() + 1e9)) == 60, "never longer than was asked for"


def test_an_activation_under_way_is_waited_for_and_a_dead_one_has_the_whole_time_from_then(layout: Layout) -> None:
    made = armed(layout, phase=marker.ACTIVATING, due=None)
    patience = Patience(layout)
    with lock_held(layout):
        assert patience.seconds_left(made) > 0
        assert marker.read(layout) == made
    assert 55 < patience.seconds_left(made) <= 60
    found = marker.read(layout)
    assert found is not None
    assert found.due is not None
    assert found.phase == marker.ACTIVATING, "what was cut short can't be confirmed"
    assert 55 < Patience(layout).seconds_left(found) <= 60, "whoever watches next goes on from there"


def test_an_agent_that_never_ends_is_killed(layout: Layout) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stuck:
        started = process_started(stuck.pid)
        assert started is not None
        with lock_held(layout):
            made = armed(layout, phase=marker.ACTIVATING, due=None, limit=marker.now() - 1)
            Patience(layout).seconds_left(made._replace(process=(stuck.pid, started + 1)))
            assert stuck.poll() is None, "another process that has its number now is left alone"
            Patience(layout).seconds_left(made._replace(process=(stuck.pid, started)))
            assert stuck.wait(20) == -9


def test_after_a_boot_all_of_the_time_is_given_once_more(layout: Layout) -> None:
    made = armed(layout, boot="another", due=marker.now() - 1000)
    patience = Patience(layout)
    assert 55 < patience.seconds_left(made) <= 60
    found = marker.read(layout)
    assert found is not None
    assert found.boot == marker.boot_id()
    assert found.phase == marker.WAITING, "it can still be confirmed"


def test_a_disk_that_takes_nothing_does_not_put_it_off(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    made = armed(layout, boot="another")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(marker, "replace", full)
    patience = Patience(layout)
    first = patience.seconds_left(made)
    assert 0 < patience.seconds_left(made) < first


def test_the_reserve_is_made_once_and_given_back(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unitfiles, "DIRECTORY", tmp_path)
    reserve.make(layout, units=10)
    (made,) = layout.root.glob(".gitopsd-*")
    before = made.stat()
    assert before.st_blocks * 512 >= before.st_size >= 256 * 1024, "really set aside, not merely a size"
    reserve.make(layout, units=3)
    assert made.stat().st_mtime_ns == before.st_mtime_ns
    reserve.make(layout, units=500)
    assert made.stat().st_size > before.st_size
    reserve.give_back(layout)
    reserve.give_back(layout)
    assert not made.exists()


def test_the_fence_goes_up_only_and_belongs_to_the_owner(layout: Layout) -> None:
    owner = Owner("a" * 40, "production")
    for deployment, expected in ((0, 0), (4, 4), (0, 4), (4, 4), (5, 5)):
        records.take_over(layout, owner, deployment)
        assert records.read_deployment(layout) == expected
        assert records.read_owner(layout) == owner
    with pytest.raises(AgentError, match="deployment 5 already, and this is 4") as refused:
        records.take_over(layout, owner, 4)
    assert (refused.value.code, refused.value.details) == ("stale", {"deployment": 5})
    with pytest.raises(AgentError) as refused:
        records.take_over(layout, Owner("b" * 40, "production"), 9)
    assert refused.value.code == "owned-by-another"
    assert records.read_deployment(layout) == 5


def test_an_agent_that_can_not_leave_its_session_goes_on_and_says_so(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_wire, "SOCKET", str(tmp_path / "missing"))
    assert "stayed inside the SSH session" in str(leave_session(layout))
    assert leave_session(layout._replace(service_manager="supervisor")) is None


def test_there_is_no_switch_under_supervisor(worker: Worker) -> None:
    with pytest.raises(Refused, match="send no confirm_timeout") as refused:
        worker.activate(release_of(TestJob(name=JOB)), confirm_timeout=30)
    assert refused.value.code == "unsupported"
    with pytest.raises(Refused) as refused:
        worker.call("rollback", {"owner": None, "reason": "just so"})
    assert refused.value.code == "not-armed"


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("activate", {"confirm_timeout": "30"}),
        ("activate", {"confirm_timeout": 0}),
        ("activate", {"confirm_timeout": True}),
        ("activate", {"deployment": -1}),
        ("activate", {"deployment": 1.5}),
        ("confirm", {"release": NEW}),
        ("confirm", {"release": "x", "token": "y"}),
        ("rollback", {}),
        ("rollback", {"reason": ""}),
        ("rollback", {"reason": "x", "token": 3}),
        ("health", {"release": None}),
        ("health", {"release": NEW, "wait": -1}),
        ("health", {"release": NEW, "wait": "2"}),
        ("health", {"release": NEW, "min_healthy_time": float("1e300")}),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(worker: Worker, verb: str, body: dict[str, Any]) -> None:
    request, payload = activation(release_of(TestJob(name=JOB))) if verb == "activate" else ({"owner": None}, b"")
    with pytest.raises(Refused) as refused:
        worker.call(verb, {**request, **body}, payload)
    assert refused.value.code == "protocol"
    assert not worker.root.exists()


def test_a_process_is_named_by_its_start() -> None:
    assert process_started(os.getpid()) == process_started(os.getpid()) != None  # noqa: E711 -- and there is one
    assert process_started(2**22 + 1) is None
