"""Rollouts to three real machines: who is begun when, what a failure stops, and a version that cuts itself off."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator, Ran

NAMES = ("edge-1", "edge-2", "edge-3")
SERVES, CRASHES, IS_DEAF, CUTS_OFF = "serves", "crashes", "is-deaf", "cuts-off"

BLUEPRINT = """\
blueprint: app
params: {does: {type: string}, version: {type: integer}}
job:
  exec: [/usr/bin/python3, "${{ job.files }}/app", "${{ params.does }}", "${{ params.version }}"]
  files: {app: {from: files/app.py, mode: "0755"}}
  ready: notify
  unit: {User: root}
"""
# says when it was started, by the clock that all machines share; what cuts the machine off does so before it is ready
APP = """\
import os, pathlib, socket, subprocess, sys, time
does, version = sys.argv[1:]
with pathlib.Path(os.environ["STATE_DIRECTORY"], "starts").open("a") as starts:
    starts.write(f"{version} {time.time()}\\n")
print(f"version {version} {does}", flush=True)
if does == "crashes":
    sys.exit(3)
if does == "cuts-off":
    subprocess.run(["systemctl", "stop", "ssh.socket", "ssh.service"], check=False)
    subprocess.run(["pkill", "-KILL", "sshd"], check=False)
if does != "is-deaf":
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
time.sleep(100000)
"""
WORKFLOW = """\
workflow: shop
steps:
  app:
    use: blueprints/app
    with: {does: DOES, version: VERSION}
    place: {group: edge, replicas: 3}
channels: {}
"""


class Shop:
    """An operator with a workflow on three machines, and what is seen on these."""

    def __init__(self, operator: Operator, machines: Fleet) -> None:
        self.operator = operator
        self.machines = machines
        self.version = 0

    def commit(self, does: str, rollout: Mapping[str, Any]) -> None:
        """A version that does that, and is rolled out so."""
        self.version += 1
        workers = workers_of(self.machines[name] for name in NAMES)
        fleet = {"groups": {"edge": {"rollout": rollout, "workers": workers}}}
        self.operator.write(
            {
                "fleets/production.yaml": json.dumps(fleet),
                "workflows/shop.yaml": WORKFLOW.replace("DOES", does).replace("VERSION", str(self.version)),
            }
        )
        self.operator.commit(f"Version {self.version} {does}")

    def apply(self, expect: int = 0) -> tuple[Ran, dict[str, Any]]:
        """What an apply says, and each worker's result."""
        ran = self.operator.run("apply", "--json", expect=expect)
        return ran, {result["worker"]: result for result in ran.json["workers"]}

    def pids(self) -> dict[str, str]:
        command = ["systemctl", "show", "--property=MainPID", "--value", "gitopsd-shop.app.*.service"]
        return {name: self.machines[name].run(command).stdout.strip() for name in NAMES}

    def starts(self, version: int) -> dict[str, float]:
        """When each machine first began the version."""
        found = {}
        for name in NAMES:
            read = self.machines[name].run(["sh", "-c", "cat /var/lib/gitopsd/state/*/starts"])
            times = [float(line.split()[1]) for line in read.stdout.splitlines() if line.split()[0] == str(version)]
            if times:
                found[name] = times[0]
        return found

    def note(self) -> Any:
        """What was recorded last."""
        head = self.operator.git("log", "-1", "--format=%H", "--grep=^Deployment:", "rendered/production")
        return json.loads(self.operator.git("notes", "--ref", "gitopsd/production", "show", head))["rollouts"][-1]


@pytest.fixture(scope="module")
def shop(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    machines = fleet(names=NAMES)
    operator = production_operator(tmp_path_factory.mktemp("home"), machines, "policy: {users: [root]}\n")
    operator.write(
        {
            "blueprints/app.yaml": BLUEPRINT,
            "files/app.py": APP,
        }
    )
    return Shop(operator, machines)


def test_one_after_another_each_healthy_for_a_while_before_the_next(shop: Shop) -> None:
    shop.commit(SERVES, {"max_parallel": 1, "min_healthy_time": "2s"})
    _, results = shop.apply()
    assert {result["state"] for result in results.values()} == {"converged"}
    assert all(result["seconds"]["confirm"] > 0 for result in results.values())
    first, second, third = sorted(shop.starts(shop.version).values())
    assert second - first >= 2
    assert third - second >= 2


def test_only_the_rollout_settings_changed_so_nothing_is_touched(shop: Shop) -> None:
    before, head = shop.pids(), shop.operator.git("rev-parse", "rendered/production")
    path = shop.operator.folder / "fleets/production.yaml"
    path.write_text(path.read_text().replace('"max_parallel": 1', '"max_parallel": 2'))
    shop.operator.commit("Faster")
    ran, results = shop.apply()
    assert {result["state"] for result in results.values()} == {"in-sync"}
    assert "records committed" in ran.stderr
    assert shop.operator.git("rev-parse", "rendered/production") != head
    assert shop.pids() == before


def test_a_canary_that_fails_stops_there_and_the_others_are_not_touched(shop: Shop) -> None:
    before = shop.pids()
    shop.commit(CRASHES, {"canary": 1, "healthy_deadline": "20s"})
    ran, results = shop.apply(expect=1)
    assert {name: result["state"] for name, result in results.items()} == {"edge-1": "failed"}
    ((message, log),) = results["edge-1"]["failures"].values()
    assert any("crashes" in line for line in log), (message, log)
    assert "the rollout stopped in edge: its canary edge-1 failed" in ran.stderr
    assert "not attempted, and as they were: edge-2, edge-3" in ran.stderr
    after = shop.pids()
    assert {name: after[name] for name in NAMES[1:]} == {name: before[name] for name in NAMES[1:]}
    assert set(shop.starts(shop.version)) == {"edge-1"}
    assert shop.note()["failed"] == ["edge-1"]
    assert shop.note()["not_attempted"] == ["edge-2", "edge-3"]
    # neither of the two carries on with it, however often they are run
    shop.operator.run("reconcile", expect=1)
    shop.apply(expect=1)
    assert set(shop.starts(shop.version)) == {"edge-1"}


def test_a_job_that_never_gets_ready_fails_when_its_deadline_is_over(shop: Shop) -> None:
    shop.commit(IS_DEAF, {"canary": 1, "healthy_deadline": "6s"})
    _, results = shop.apply(expect=1)
    ((message, log),) = results["edge-1"]["failures"].values()
    assert "it wasn't healthy within 6 s" in message
    assert any("is-deaf" in line for line in log)
    assert set(results) == {"edge-1"}


def test_a_machine_that_is_away_holds_nobody_up_and_catches_up(shop: Shop) -> None:
    shop.commit(SERVES, {"canary": 1, "max_parallel": 1, "max_unreachable": 1})
    shop.machines["edge-1"].cut_link()
    try:
        _, results = shop.apply(expect=4)
    finally:
        shop.machines["edge-1"].restore_link()
    assert {name: result["state"] for name, result in results.items()} == {
        "edge-1": "unreachable",
        "edge-2": "converged",
        "edge-3": "converged",
    }
    _, results = shop.apply()
    assert results["edge-1"]["state"] == "converged"


def test_too_many_that_are_away_stop_it_before_anybody_is_touched(shop: Shop) -> None:
    before = shop.pids()
    shop.commit(SERVES, {"max_unreachable": 0})
    shop.machines["edge-2"].cut_link()
    try:
        ran, results = shop.apply(expect=1)
    finally:
        shop.machines["edge-2"].restore_link()
    assert {name: result["state"] for name, result in results.items()} == {"edge-2": "unreachable"}
    assert "1 of 3 can't be reached, and max_unreachable is 0" in ran.stderr
    assert shop.pids() == before
    shop.apply()


def test_a_version_that_cuts_itself_off_is_undone_and_said_to_be(shop: Shop) -> None:
    held = shop.operator.git("rev-parse", "rendered/production:workers/edge-1")
    shop.commit(CUTS_OFF, {"canary": 1, "confirm_timeout": "5s"})
    ran, results = shop.apply(expect=1)
    assert results["edge-1"]["state"] == "rolled-back", results["edge-1"]["error"]
    assert set(results) == {"edge-1"}
    assert f"holds {held[:12]} again" in results["edge-1"]["error"]
    assert "edge-1: rolled-back" in ran.stderr
    assert "the rollout stopped in edge: its canary edge-1 failed" in ran.stderr
    assert shop.machines["edge-1"].run(["readlink", "/var/lib/gitopsd/current"]).stdout.strip().endswith(held)
    status = {worker["worker"]: worker for worker in shop.operator.run("status", "--json").json}
    assert "undid the change by itself" in status["edge-1"]["last_attempted"]["error"]
    assert shop.note()["counts"] == {"not attempted": 2, "rolled-back": 1}
    assert set(shop.starts(shop.version)) == {"edge-1"}
