"""The whole path on three real machines: their own logs through collect, transform, file-store and write."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator
from tests.operator import Operator, eventually

LINES_A_MACHINE = 34_000
LOGS = "/var/log/dpkg.log /var/log/bootstrap.log /var/lib/dpkg/status /var/lib/dpkg/info/*.md5sums"
GATHER = f"""
mkdir -p /srv/in
cat {LOGS} /var/lib/apt/lists/*_Packages | head -n {LINES_A_MACHINE} > /srv/in/all.log
"""

FLEET = """\
groups:
  edge:
    mounts: {{/mnt/shared: shared}}
    workers:
{workers}
"""

WORKFLOW = """\
workflow: logs
steps:
  collect:
    use: std/read-files
    with: {glob: /srv/in/*.log, mode: tail, format: lines}
    out: raw
    place: {group: edge, replicas: 3}
  shape:
    use: std/transform
    in: raw
    out: shaped
    with:
      actions:
        - {filter: "length(line) > `0`"}
        - {set: {host: "'${{ worker.name }}'", size: "length(line)"}}
    place: {group: edge, replicas: 3}
  deliver:
    use: std/write-files
    in: shaped
    with: {path: /srv/out}
    place: {group: edge, replicas: 2}
  alarm:
    use: blueprints/alarm
    in: shaped
    out: alarms
    place: {group: edge}
  notify:
    use: std/write-files
    in: alarms
    with: {path: /srv/alarms}
    place: {group: edge}
channels:
  raw: {transport: worker}
  shaped: {transport: file-store, path: /mnt/shared/shaped}
  alarms: {transport: file-store, path: /mnt/shared/alarms}
"""

BLUEPRINT = """\
blueprint: alarm
description: Lets through the events whose line names a word.
params: {word: {type: string, default: libssl}}
in: {default: {speaks: [stdio]}}
out: {default: {speaks: [stdio]}}
job:
  exec: [python3, files/alarm.py, "${{ params.word }}"]
  files:
    alarm.py: {from: files/alarm.py}
"""

SCRIPT = """\
import json, sys
for line in sys.stdin:
    if sys.argv[1] in json.loads(line)["line"]:
        print(line, end="", flush=True)
"""

JOBS = {
    *(f"logs.collect.{replica}" for replica in range(3)),
    *(f"logs.shape.{replica}" for replica in range(3)),
    *(f"logs.deliver.{replica}" for replica in range(2)),
    "logs.alarm.0",
    "logs.alarm-in-shaped.0",
    "logs.alarm-out-alarms.0",
    "logs.notify.0",
}


@pytest.fixture(scope="module")
def machines(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o777)
    machines = fleet(names=("edge-1", "edge-2", "edge-3"), shared={"/mnt/shared": shared})
    for machine in machines.values():
        machine.run(["sh", "-c", GATHER])
    return machines


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = production_operator(tmp_path_factory.mktemp("home"), machines)
    workers = "\n".join(
        f'      {machine.name}: {{address: {machine.address}, user: root, host_key: "{machine.host_key}"}}'
        for machine in machines.values()
    )
    operator.write(
        {
            "fleets/production.yaml": FLEET.format(workers=workers),
            "workflows/logs.yaml": WORKFLOW,
            "blueprints/alarm.yaml": BLUEPRINT,
            "files/alarm.py": SCRIPT,
        }
    )
    operator.commit("Collect the logs of the edge")
    return operator


@pytest.fixture(scope="module")
def deployed(operator: Operator) -> Operator:
    assert {worker["worker"] for worker in operator.run("worker", "probe", "--json").json} == {
        "edge-1",
        "edge-2",
        "edge-3",
    }
    results = operator.run("apply", "--json").json
    assert [worker["state"] for worker in results["workers"]] == ["converged"] * 3
    return operator


@pytest.mark.usefixtures("deployed")
def test_every_line_of_real_logs_arrives_once_with_the_host_that_it_came_from(machines: Fleet) -> None:
    sent = Counter(
        (machine.name, line)
        for machine in machines.values()
        for line in machine.run(["cat", "/srv/in/all.log"]).stdout.split("\n")
        if line
    )
    assert sum(sent.values()) > 90_000
    eventually("every event has been written", lambda: len(_written(machines, "/srv/out")) >= sum(sent.values()))
    arrived = [json.loads(event) for event in _written(machines, "/srv/out")]
    assert Counter((event["host"], event["line"]) for event in arrived) == sent
    assert all(event["size"] == len(event["line"]) for event in arrived)
    alarms = [line for _, line in sent.elements() if "libssl" in line]
    assert alarms
    eventually("every alarm has been written", lambda: len(_written(machines, "/srv/alarms")) >= len(alarms))
    assert sorted(json.loads(event)["line"] for event in _written(machines, "/srv/alarms")) == sorted(alarms)
    both = [machine for machine in machines.values() if _written_by(machine.root, "/srv/out")]
    assert len(both) == 2, "the two replicas that deliver share the work"


def test_applying_again_changes_nothing(deployed: Operator) -> None:
    before = _processes(deployed)
    head = deployed.git("rev-parse", "rendered/production")
    results = deployed.run("apply", "--json").json
    assert {worker["state"] for worker in results["workers"]} == {"in-sync"}
    assert deployed.git("rev-parse", "rendered/production") == head
    assert _processes(deployed) == before
    assert set(before) == JOBS


def test_changing_one_blueprint_restarts_only_its_job(deployed: Operator) -> None:
    before = _processes(deployed)
    deployed.write({"files/alarm.py": SCRIPT + "# another version\n"})
    deployed.commit("Change the alarm")
    plan = deployed.run("plan", "--json").json
    assert [
        (change["job"], change["action"], change["effect"])
        for change in plan["changes"]
        if change["action"] != "unchanged"
    ] == [("logs.alarm.0", "update", "restart")]
    results = deployed.run("apply", "--json").json
    touched = {job for worker in results["workers"] for jobs in worker["touched"].values() for job in jobs}
    assert touched == {"logs.alarm.0"}
    after = _processes(deployed)
    assert {job for job in JOBS if before[job] != after[job]} == {"logs.alarm.0"}
    assert deployed.run("status", "--exit-code").stdout.count("in sync") == 3
    assert [one["deployment"] for one in deployed.run("history", "--json").json] == [2, 1]


def test_a_worker_that_does_not_answer_is_named_and_the_others_go_on(deployed: Operator, machines: Fleet) -> None:
    machines["edge-2"].cut_link()
    try:
        deployed.write({"files/alarm.py": SCRIPT + "# while one is away\n"})
        deployed.commit("Change the alarm again")
        ran = deployed.run("apply", expect=4)
        assert "edge-2" in ran.stderr
        assert "unreachable" in ran.stderr
    finally:
        machines["edge-2"].restore_link()
    deployed.run("apply")
    deployed.run("status", "--exit-code")


def test_a_machine_that_lost_power_runs_its_jobs_again(deployed: Operator, machines: Fleet) -> None:
    machines["edge-3"].power_off()
    machines["edge-3"].boot()
    eventually("everything runs again", lambda: deployed.run("status", "--exit-code", expect=None).code == 0)


def test_a_worker_with_another_host_key_is_refused(deployed: Operator, machines: Fleet) -> None:
    fleet = (deployed.folder / "fleets/production.yaml").read_text()
    swapped = fleet.replace(machines["edge-1"].host_key, machines["edge-2"].host_key)
    deployed.write({"fleets/production.yaml": swapped})
    ran = deployed.run("worker", "probe", "edge-1", expect=1)
    assert "host key" in ran.stdout
    assert "SHA256:" in ran.stdout
    deployed.git("checkout", "--quiet", "fleets/production.yaml")


def test_teardown_leaves_nothing_of_ours(deployed: Operator, machines: Fleet) -> None:
    deployed.run("worker", "teardown", "edge-1", "--yes")
    ours = "/var/lib/gitopsd /etc/systemd/system/gitopsd-* /etc/systemd/system/*.wants/gitopsd-*"

    def listing() -> str:
        return str(machines["edge-1"].run(["sh", "-c", f"ls -d {ours} 2>/dev/null"], check=False).stdout)

    assert listing() == ""
    assert machines["edge-1"].run(["ls", "/srv/in"]).stdout == "all.log\n"
    status = deployed.run("status", "--exit-code", expect=1).stdout
    assert status.count("in sync") == 2
    assert "edge-1: out-of-sync: nothing of gitopsd is on it" in status
    deployed.run("why", "edge-1")
    deployed.run("workloads")
    deployed.run("reconcile", "--dry-run", expect=2)
    assert listing() == "", "who only looks leaves nothing there either"


def _written(machines: Fleet, folder: str) -> list[str]:
    return [event for machine in machines.values() for event in _written_by(machine.root, folder)]


def _written_by(root: Path, folder: str) -> list[str]:
    below = root / folder.lstrip("/")
    text = "".join(path.read_text() for path in sorted(below.glob("*.jsonl"))) if below.exists() else ""
    return text.splitlines() if text.endswith("\n") else text.split("\n")[:-1]


def _processes(operator: Operator) -> dict[str, Any]:
    """Job -> (worker, main PID), all of them running."""
    workloads = operator.run("workloads", "--json").json
    assert all(one["state"] == "running" for one in workloads), workloads
    return {one["job"]: (one["worker"], one["main_pid"]) for one in workloads}
