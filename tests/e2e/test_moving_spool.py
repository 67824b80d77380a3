"""Two real machines: a step that reads a store on its own disk moves away, and leaves nothing behind."""

import json

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator, eventually

EVENTS = 5_000
SLOW = """
import os, sys, time
for line in sys.stdin:
    if not os.path.exists("/srv/quick"):
        time.sleep(0.05)
    sys.stdout.write(line)
    sys.stdout.flush()
"""
"""Until the file is there it takes much longer for what is stored than a change and a boot do."""

PLACE = {"group": "edge", "strategy": "pack"}
WORKFLOW = {
    "workflow": "spool",
    "steps": {
        "read": {"use": "std/read-files", "with": {"glob": "/srv/in/*", "mode": "tail"}, "out": "rows", "place": PLACE},
        "slow": {
            "use": "std/exec",
            "with": {"command": ["python3", "-c", SLOW]},
            "in": "rows",
            "out": "slowed",
            "place": PLACE,
        },
        "write": {"use": "std/write-files", "with": {"path": "/srv/out"}, "in": "slowed", "place": PLACE},
    },
    "channels": {"rows": {"transport": "file-store", "path": "/srv/store"}, "slowed": {"transport": "worker"}},
}
FILL = f"""
import json
lines = [json.dumps({{"n": number, "text": "x" * 2000}}) + "\\n" for number in range({EVENTS})]
open("/srv/in/a.jsonl", "w").writelines(lines)
"""
READ = """
import glob, json
for path in glob.glob("/srv/out/*.jsonl"):
    for line in open(path).read().split("\\n")[:-1]:
        print(json.loads(line)["n"])
"""


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    machines = fleet(names=("edge-1", "edge-2"))
    for machine in machines.values():
        machine.run(["mkdir", "/srv/in"])
    return machines


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = production_operator(tmp_path_factory.mktemp("home"), machines)
    workers = workers_of(machines.values())
    operator.write(
        {
            "workflows/spool.yaml": json.dumps(WORKFLOW),
            "fleets/production.yaml": json.dumps({"groups": {"edge": {"workers": workers}}}),
        }
    )
    operator.commit("A spool")
    return operator


def came_out(machines: Fleet, name: str) -> list[int]:
    return [int(line) for line in machines[name].run(["python3", "-c", READ]).stdout.split()]


def states(operator: Operator) -> dict[tuple[str, str], str]:
    return {(one["worker"], one["job"]): one["state"] for one in operator.run("workloads", "--json").json}


def test_a_worker_that_is_drained_finishes_what_lies_on_its_disk(operator: Operator, machines: Fleet) -> None:
    operator.run("apply")
    places = {worker for worker, job in states(operator) if job == "spool.slow.0"}
    (old,) = places
    (new,) = {"edge-1", "edge-2"} - places
    machines[old].run(["python3", "-c", FILL])
    eventually("something came out", lambda: bool(came_out(machines, old)))
    operator.run("worker", "drain", old, "--reason", "new disk")
    plan = operator.run("plan").stdout
    assert f"it drains on `{old}`: it reads what is left in /srv/store, for 5m at most, and ends" in plan
    results = operator.run("apply", "--json").json
    assert {one["state"] for one in results["workers"]} == {"converged"}
    assert len(set(came_out(machines, old))) < EVENTS, "too late: nothing is left on the disk"
    found = states(operator)
    assert found[new, "spool.slow.0"] == "running"
    assert {found[old, f"spool.{step}.0"] for step in ("slow-in-rows", "slow", "write")} <= {"draining", "drained"}
    assert (old, "spool.read.0") not in found
    machines[old].power_off()
    machines[old].boot()
    assert "draining" in states(operator).values(), "the machine is up, and what drains there isn't waited for"
    machines[old].run(["touch", "/srv/quick"])
    eventually("all came out", lambda: set(came_out(machines, old)) == set(range(EVENTS)))
    eventually("it has drained", lambda: "draining" not in states(operator).values())
    operator.run("reconcile")
    operator.run("apply")
    assert {worker for worker, _ in states(operator)} == {new}
    assert machines[old].run(["sh", "-c", "ls /etc/systemd/system | grep -c gitopsd-spool || true"]).stdout == "0\n"
    operator.run("worker", "uncordon", old)
    operator.run("worker", "drain", new, "--reason", "the other way round")
    operator.run("apply")
    assert states(operator)[old, "spool.slow-in-rows.0"] == "running", "whatever became of it there before"
