"""Logs of jobs on real machines: the journals of all replicas of a step together, followed and let go of."""

import json
import signal

import pytest

from tests.cli.test_logs import following
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.operator import Operator, eventually

TALKER = """\
blueprint: talker
job:
  exec: [python3, files/talker.py]
  files: {talker.py: {from: files/talker.py}}
"""
WORKFLOW = """\
workflow: talk
steps:
  a: {use: blueprints/talker, place: {group: all, replicas: 2}}
"""
SCRIPT = """\
import time
number = 0
while True:
    number += 1
    print("said", number, flush=True)
    time.sleep(0.5)
"""
KILL_FOLLOWERS = """
for process in /proc/[0-9]*; do
  tr '\\0' ' ' 2>/dev/null < $process/cmdline | grep -q '[.]py follow' && kill -9 ${process#/proc/}
done
true
"""


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    return fleet(names=("edge-1", "edge-2"))


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    home = tmp_path_factory.mktemp("home")
    (home / ".config/gitopsd").mkdir(parents=True)
    (home / ".config/gitopsd/config.yaml").write_text(f"ssh: {{identity: {machines.client_key}}}\n")
    operator = Operator(folder=home / "repository", home=home)
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    workers = {
        one.name: {"address": one.address, "user": "root", "host_key": one.host_key} for one in machines.values()
    }
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": json.dumps({"groups": {"all": {"workers": workers}}}),
            "workflows/talk.yaml": WORKFLOW,
            "blueprints/talker.yaml": TALKER,
            "files/talker.py": SCRIPT,
        }
    )
    operator.commit("Talk")
    operator.run("apply")
    return operator


def _followers(machine: Machine) -> list[str]:
    listed = machine.run(["sh", "-c", "ps -eo args 2>/dev/null || cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
    return [line for line in listed.splitlines() if "journalctl" in line or ".py follow" in line]


def test_the_replicas_of_a_step_are_shown_together_each_line_with_its_job(operator: Operator) -> None:
    shown = operator.run("logs", "talk.a", "-n", "3").stdout.splitlines()
    assert {line.partition(": ")[0] for line in shown} == {"talk.a.0", "talk.a.1"}
    assert len(shown) <= 6
    assert operator.run("logs", "talk.a.1", "-n", "1").stdout.startswith("said ")


def test_following_goes_on_until_ctrl_c_and_leaves_nothing_on_the_workers(machines: Fleet, operator: Operator) -> None:
    with following(operator, "talk.a", "-n", "1") as (process, printed):
        eventually("both replicas are heard again and again", lambda: _heard(printed, 4))
        assert all(_followers(machine) for machine in machines.values())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    eventually("nothing is left", lambda: not any(map(_followers, machines.values())))


def test_a_log_that_breaks_off_is_told_and_the_others_go_on(machines: Fleet, operator: Operator) -> None:
    with following(operator, "talk.a", "-n", "1") as (process, printed):
        eventually("both are heard", lambda: _heard(printed, 1))
        placed = operator.run("workloads", "--json").json
        gone = machines["edge-2"]
        silent = next(one["job"] for one in placed if one["worker"] == "edge-2")
        other = next(one["job"] for one in placed if one["worker"] == "edge-1")
        gone.run(["sh", "-c", KILL_FOLLOWERS])
        before = len(_of(printed, other))
        eventually("the other goes on", lambda: len(_of(printed, other)) > before + 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert f"{silent}: edge-2: its log can't be followed any more" in process.stderr.read()
    eventually("nothing is left", lambda: not any(map(_followers, machines.values())))


def _of(printed: list[str], job: str) -> list[str]:
    return [line for line in printed if line.startswith(f"{job}: said ")]


def _heard(printed: list[str], times: int) -> bool:
    return all(len(_of(printed, job)) >= times for job in ("talk.a.0", "talk.a.1"))
