"""The dead man's switch on a real machine: what nobody confirms is undone, whatever it broke."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from gitopsd.fleet import verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerRefused, WorkerUnreachable
from gitopsd.model.secret import SecretValue
from tests.agent.releases import TestJob, release_of
from tests.fleet_ssh.on_machines import (
    ROOT,
    SYSTEM,
    activate,
    active,
    lines,
    pids,
    settings_for,
    starts,
    target_of,
    unit,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitopsd.fleet.connection import WorkerConnection
    from gitopsd.model.facts import Observation
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

STAYS, CHANGES, LEAVES, COMES = "orders.stays.0", "orders.changes.0", "orders.leaves.0", "orders.comes.0"
BEFORE = release_of(TestJob(name=STAYS), TestJob(name=CHANGES, unit_lines=("Nice=3",)), TestJob(name=LEAVES))
CONFIRM = 3.0
# the timer's delay, the timeout, and what a busy machine takes for the rest
UNDONE = 60.0
SERVICE, TIMER = "gitopsd-switch.service", "gitopsd-switch.timer"


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    return fleet(1, data_size="24m")["worker-1"]


@pytest.fixture
def worker(machine: Machine) -> Iterator[WorkerConnection]:
    with Workers(settings_for(machine)) as workers, workers.connect(target_of(machine)) as connection:
        yield connection
    with Workers(settings_for(machine)) as workers, workers.connect(target_of(machine)) as connection:
        verbs.teardown(connection)


def after(*lines_of_comes: str, version: str = "2", user: str = "gitopsd-job") -> Any:
    """One job stays, one changes, its unit too, one leaves, one comes and does what the lines of its unit say."""
    return release_of(
        TestJob(name=STAYS),
        TestJob(name=CHANGES, version=version, unit_lines=("Nice=5",)),
        TestJob(name=COMES, version=version, user=user, unit_lines=lines_of_comes),
    )


def observe_anew(machine: Machine) -> Observation:
    with Workers(settings_for(machine)) as workers, workers.connect(target_of(machine)) as connection:
        return verbs.observe(connection)


def until_undone(machine: Machine) -> None:
    """Seen from inside: nobody else may get in."""
    until(lambda: lines(machine, "sh", "-c", f"ls {ROOT}/switch.json {ROOT}/rolling-back.json") == [], UNDONE)


def require_before(machine: Machine, before: Observation, state: Observation, undone: str) -> None:
    assert state.release == state.tree == BEFORE.id
    assert state.switch is None
    assert state.interrupted is False
    assert state.rolled_back is not None
    assert (state.rolled_back.release, state.rolled_back.to) == (undone, BEFORE.id)
    assert active(state) == dict.fromkeys((unit(CHANGES), unit(LEAVES), unit(STAYS)), "active")
    assert all(shown.enabled for shown in state.units.values())
    assert {name: shown.blob for name, shown in state.units.items()} == {
        name: shown.blob for name, shown in before.units.items()
    }
    assert state.applied == before.applied
    assert pids(state)[unit(STAYS)] == pids(before)[unit(STAYS)], "what did not change is not touched"
    assert starts(machine, CHANGES)[-1] == "1"
    shown = lines(machine, "systemctl", "show", "-p", "Nice", "-p", "NeedDaemonReload", unit(CHANGES))
    assert sorted(shown) == ["NeedDaemonReload=no", "Nice=3"]
    assert lines(machine, "systemctl", "show", "-p", "LoadState", unit(COMES)) == ["LoadState=not-found"]
    assert [line for line in lines(machine, "find", SYSTEM) if COMES in line] == []


def test_what_is_confirmed_in_time_stays(machine: Machine, worker: WorkerConnection) -> None:
    result = activate(worker, BEFORE, confirm_timeout=12)
    assert result.token is not None
    assert result.observation.switch is not None
    assert result.observation.switch.previous is None
    for _ in range(2):
        with Workers(settings_for(machine)) as others, others.connect(target_of(machine)) as anew:
            assert verbs.confirm(anew, result.token, BEFORE.id).confirmed
    assert verbs.observe(worker).switch is None
    until(lambda: lines(machine, "systemctl", "show", "-p", "SubState", TIMER) == ["SubState=elapsed"])
    state = verbs.observe(worker)
    assert (state.release, state.rolled_back) == (BEFORE.id, None)
    assert pids(state) == pids(result.observation)
    ran = lines(machine, "systemctl", "show", "-p", "ExecMainStartTimestampMonotonic", "gitopsd-switch.service")
    assert ran == ["ExecMainStartTimestampMonotonic=0"], "nothing was even started"


def test_what_is_not_confirmed_is_undone_completely(machine: Machine, worker: WorkerConnection) -> None:
    before = activate(worker, BEFORE).observation
    wanted = after()
    result = activate(worker, wanted, BEFORE, confirm_timeout=CONFIRM)
    assert result.failed == {}
    assert result.observation.release == wanted.id
    until_undone(machine)
    require_before(machine, before, verbs.observe(worker), wanted.id)
    assert "nobody confirmed it within 3 s" in str(verbs.observe(worker).rolled_back)
    with pytest.raises(WorkerRefused, match="nobody confirmed") as refused:
        verbs.confirm(worker, str(result.token), wanted.id)
    assert refused.value.code == "rolled-back"
    again = activate(worker, wanted, BEFORE, confirm_timeout=30)
    verbs.confirm(worker, str(again.token), wanted.id)
    assert verbs.observe(worker).rolled_back is None


BREAKS = {
    "stops sshd": "ExecStartPre=+/bin/systemctl stop ssh.service",
    "kills all that sshd runs": "ExecStartPre=+/bin/systemctl kill --kill-who=all --signal=KILL ssh.service",
    "takes the link down": "ExecStartPre=+/bin/ip link set eth0 down",
    "fills the disk": "ExecStart=\nExecStart=/bin/sh -c 'while :; do cat /dev/zero >> $STATE_DIRECTORY/fill; done'",
}


@pytest.mark.parametrize("how", BREAKS)
def test_what_breaks_the_way_in_is_undone_and_the_way_in_is_open_again(
    machine: Machine, worker: WorkerConnection, how: str
) -> None:
    before = activate(worker, BEFORE).observation
    wanted = after(BREAKS[how])
    with ThreadPoolExecutor(1) as pool:
        # whether an answer comes depends on what was broken, and when
        activated = pool.submit(activate, worker, wanted, BEFORE, 10.0, confirm_timeout=CONFIRM)
        until(lambda: COMES in str(lines(machine, "ls", f"{ROOT}/state")))
        until(lambda: "switch.json" in str(lines(machine, "ls", ROOT)))
        until_undone(machine)
        state = observe_anew(machine)
        require_before(machine, before, state, wanted.id)
        assert state.rolled_back is not None
        if how != "fills the disk":
            assert state.rolled_back.reason == "nobody confirmed it within 3 s", "the agent itself was not cut short"
        answer = activated.exception(90)
    expected = {"kills all that sshd runs": WorkerUnreachable, "fills the disk": WorkerRefused}
    assert answer is None or isinstance(answer, expected.get(how, ())), answer


def test_a_very_first_deployment_leaves_nothing_running(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, after(BREAKS["stops sshd"]), confirm_timeout=CONFIRM)
    until_undone(machine)
    state = observe_anew(machine)
    assert (state.release, state.tree, state.units, state.applied) == (None, None, {}, {})
    assert state.rolled_back is not None
    assert state.rolled_back.to is None
    assert lines(machine, "ls", f"{ROOT}/current") == []
    assert [line for line in lines(machine, "find", SYSTEM) if "gitopsd-orders" in line] == []
    assert lines(machine, "systemctl", "list-units", "--all", "--plain", "--no-legend", "gitopsd-orders*") == []
    assert lines(machine, "pgrep", "-u", "gitopsd-job") == []


@pytest.mark.parametrize("how", ["reboot", "power loss"])
def test_a_machine_that_goes_down_before_the_confirmation_rolls_back_once_it_is_up(
    machine: Machine, worker: WorkerConnection, how: str
) -> None:
    activate(worker, BEFORE)
    wanted = after()
    activate(worker, wanted, BEFORE, confirm_timeout=20)
    if how == "reboot":
        machine.reboot()
    else:
        machine.power_off()
        machine.boot()
    state = observe_anew(machine)
    assert state.release == wanted.id
    assert state.switch is not None, "it has all of the time once more"
    until_undone(machine)
    state = observe_anew(machine)
    assert state.release == state.tree == BEFORE.id
    assert active(state) == dict.fromkeys((unit(CHANGES), unit(LEAVES), unit(STAYS)), "active")
    assert starts(machine, CHANGES)[-1] == "1"


def test_a_machine_that_went_down_can_still_be_confirmed(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, BEFORE)
    wanted = after()
    token = str(activate(worker, wanted, BEFORE, confirm_timeout=20).token)
    machine.power_off()
    machine.boot()
    with Workers(settings_for(machine)) as others, others.connect(target_of(machine)) as anew:
        assert verbs.confirm(anew, token, wanted.id).confirmed
        assert verbs.observe(anew).switch is None
    until(lambda: lines(machine, "systemctl", "is-active", "gitopsd-switch.service") == ["inactive"])
    assert observe_anew(machine).release == wanted.id


def test_two_that_were_not_confirmed_are_undone_to_the_last_that_was(
    machine: Machine, worker: WorkerConnection
) -> None:
    before = activate(worker, BEFORE).observation
    first, second = after(version="2"), after(version="3")
    token = str(activate(worker, first, BEFORE, confirm_timeout=30).token)
    result = activate(worker, second, first, confirm_timeout=2 * CONFIRM)
    assert result.observation.switch is not None
    assert (result.observation.switch.release, result.observation.switch.previous) == (second.id, BEFORE.id)
    assert BEFORE.id not in verbs.prune(worker, [second.id]).removed
    with pytest.raises(WorkerRefused, match="taken the place") as refused:
        verbs.confirm(worker, token, first.id)
    assert refused.value.code == "stale"
    until_undone(machine)
    require_before(machine, before, verbs.observe(worker), second.id)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_whoever_ends_the_switch_does_not_stop_it(machine: Machine, worker: WorkerConnection, signal: str) -> None:
    before = activate(worker, BEFORE).observation
    wanted = after()
    activate(worker, wanted, BEFORE, confirm_timeout=12)
    until(lambda: lines(machine, "systemctl", "is-active", SERVICE) == ["active"])
    machine.run(["systemctl", "kill", f"--signal={signal}", SERVICE])
    until_undone(machine)
    require_before(machine, before, verbs.observe(worker), wanted.id)
    until(lambda: lines(machine, "systemctl", "show", "-p", "SubState", SERVICE) == ["SubState=dead"])


def test_the_controller_can_order_it_at_once(machine: Machine, worker: WorkerConnection) -> None:
    before = activate(worker, BEFORE).observation
    wanted = after()
    activate(worker, wanted, BEFORE, confirm_timeout=600)
    result = verbs.rollback(worker, "canary failed")
    assert (result.release, result.previous, result.failed) == (BEFORE.id, wanted.id, {})
    state = verbs.observe(worker)
    require_before(machine, before, state, wanted.id)
    assert state.rolled_back is not None
    assert state.rolled_back.reason == "canary failed"
    with pytest.raises(WorkerRefused) as refused:
        verbs.rollback(worker, "again")
    assert refused.value.code == "not-armed"


def held(machine: Machine, job: str) -> Any:
    return json.loads("".join(lines(machine, "cat", f"{ROOT}/state/{job}/held")))


def test_earlier_values_of_secrets_are_back_too(machine: Machine, worker: WorkerConnection) -> None:
    release = release_of(TestJob(name=STAYS, secrets=("other",)), TestJob(name=CHANGES, secrets=("token",)))

    def values(token: str) -> dict[str, SecretValue]:
        return {"token": SecretValue(token.encode()), "other": SecretValue(b"other")}

    key = b"k" * 32
    before = activate(worker, release, secrets=values("old"), key=key).observation
    for token in ("new", "newer"):
        result = activate(worker, release, release, secrets=values(token), key=key, confirm_timeout=CONFIRM)
        assert result.restarted == (CHANGES,)
        assert result.token is not None
    assert held(machine, CHANGES) == {"token": hashlib.sha256(b"newer").hexdigest()}
    until_undone(machine)
    state = verbs.observe(worker, key=key)
    assert state.credentials == before.credentials
    assert held(machine, CHANGES) == {"token": hashlib.sha256(b"old").hexdigest()}
    assert pids(state)[unit(STAYS)] == pids(before)[unit(STAYS)]
    assert lines(machine, "sh", "-c", f"ls {ROOT}/credentials/sets | wc -l") == ["1"]


def test_a_link_that_somebody_removed_is_put_back_and_nothing_stops_for_lack_of_a_confirmation(
    machine: Machine, worker: WorkerConnection
) -> None:
    before = activate(worker, BEFORE).observation
    machine.run(["rm", f"{ROOT}/current"])
    result = activate(worker, BEFORE, BEFORE, confirm_timeout=CONFIRM)
    assert result.observation.switch is not None
    assert result.observation.switch.previous == BEFORE.id
    until_undone(machine)
    state = verbs.observe(worker)
    assert (state.release, pids(state)) == (BEFORE.id, pids(before))


def test_what_moves_nothing_arms_nothing(machine: Machine, worker: WorkerConnection) -> None:
    activate(worker, BEFORE)
    machine.run(["systemctl", "stop", unit(CHANGES)])
    result = activate(worker, BEFORE, BEFORE, confirm_timeout=CONFIRM)
    assert (result.started, result.token, result.observation.switch) == ((CHANGES,), None, None)


def test_an_earlier_deployment_is_refused(worker: WorkerConnection) -> None:
    activate(worker, BEFORE, deployment=7)
    wanted = after()
    with pytest.raises(WorkerRefused, match="deployment 7 already") as refused:
        activate(worker, wanted, BEFORE, deployment=6)
    assert refused.value.code == "stale"
    state = verbs.observe(worker)
    assert (state.release, state.deployment) == (BEFORE.id, 7)
    assert activate(worker, wanted, BEFORE, deployment=7).failed == {}
    assert activate(worker, BEFORE, wanted, deployment=9).observation.deployment == 9
