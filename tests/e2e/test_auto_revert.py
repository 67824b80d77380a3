"""Two real machines: a version whose job dies is undone by itself, and the rest of that version goes on."""

import json

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator

RUNS = "#!/bin/sh\nexec sleep 100000\n"
DIES = "#!/bin/sh\nsleep 1\necho no way on >&2\nexit 3\n"
JOBS = {f"{name}.main.{replica}" for name in ("alerts", "orders") for replica in (0, 1)}


def program(name: str) -> dict[str, str]:
    """A workflow of two jobs that are `files/NAME.sh`, one on each machine."""
    return {
        f"blueprints/{name}.yaml": (
            f"blueprint: {name}\njob:\n  kind: service\n  exec: ['${{{{ job.files }}}}/run']\n"
            f"  files: {{run: {{from: files/{name}.sh, mode: '0755'}}}}\n"
        ),
        f"workflows/{name}.yaml": (
            f"workflow: {name}\nsteps:\n  main: {{use: blueprints/{name}, place: {{group: edge, replicas: 2}}}}\n"
        ),
    }


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    return fleet(names=("edge-1", "edge-2"))


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Deployment 1 is well: two workflows with a job on each machine; one machine is tried before the other."""
    operator = production_operator(tmp_path_factory.mktemp("home"), machines)
    workers = workers_of(machines.values())
    rollout = {"canary": 1, "auto_revert": True, "min_healthy_time": "4s", "healthy_deadline": "60s"}
    operator.write(
        {
            "fleets/production.yaml": json.dumps({"groups": {"edge": {"rollout": rollout, "workers": workers}}}),
            **program("orders"),
            **program("alerts"),
            "files/orders.sh": RUNS,
            "files/alerts.sh": RUNS,
        }
    )
    operator.commit("Two programs")
    operator.run("apply")
    return operator


def running(operator: Operator) -> dict[str, int]:
    """Job -> process, of those that run as the head has them, as the machines themselves say."""
    found = operator.run("workloads", "--json").json
    return {one["job"]: one["main_pid"] for one in found if one["state"] == "running" and one["current"]}


def program_of(operator: Operator, machines: Fleet, job: str) -> str:
    """The program that lies on the job's machine."""
    [workload] = [one for one in operator.run("workloads", "--json").json if one["job"] == job]
    path = f"/var/lib/gitopsd/current/jobs/{job}/files/run"
    return machines[workload["worker"]].run(["cat", path]).stdout


def test_a_failed_workflow_goes_back_and_the_rest_of_the_version_goes_on(operator: Operator, machines: Fleet) -> None:
    before = running(operator)
    assert before.keys() == JOBS
    first = operator.git("rev-parse", "rendered/production")
    operator.write({"files/orders.sh": DIES, "files/alerts.sh": RUNS + "# better\n"})
    operator.commit("Better alerts, and orders that die")
    ran = operator.run("apply", expect=1)
    assert "the rollout stopped in edge" in ran.stderr
    assert "orders goes back to deployment 1, and stays there" in ran.stderr
    operator.run("status", "--exit-code")
    after = running(operator)
    assert after.keys() == JOBS
    for replica in (0, 1):
        assert program_of(operator, machines, f"orders.main.{replica}") == RUNS
        assert "# better" in program_of(operator, machines, f"alerts.main.{replica}")
        assert after[f"alerts.main.{replica}"] != before[f"alerts.main.{replica}"]
    untouched = [job for job in JOBS if job.startswith("orders.") and after[job] == before[job]]
    assert len(untouched) == 1, "the canary alone ran what died; the other machine never did"
    for worker in ("edge-1", "edge-2"):
        for job in JOBS:
            path = f"workers/{worker}/jobs/{job}"
            was, now = (operator.git("ls-tree", commit, path).split()[2:3] for commit in (first, "rendered/production"))
            assert (was == now) is (job.startswith("orders.") or not now), (worker, job)


def test_neither_the_same_version_nor_a_later_one_tries_it_again(operator: Operator) -> None:
    before, head = running(operator), operator.git("rev-parse", "rendered/production")
    applied = operator.run("apply", "--json").json
    assert not applied["committed"]
    assert {worker["state"] for worker in applied["workers"]} == {"in-sync"}
    operator.run("reconcile")
    assert operator.git("rev-parse", "rendered/production") == head
    assert running(operator) == before
    operator.write({"files/alerts.sh": RUNS + "# best\n"})
    operator.commit("Still better alerts")
    operator.run("apply")
    after = running(operator)
    assert after.keys() == JOBS
    assert {job for job in JOBS if after[job] == before[job]} == {job for job in JOBS if job.startswith("orders.")}


def test_a_mended_version_goes_through_and_ends_the_quarantine(operator: Operator, machines: Fleet) -> None:
    assert "orders" in operator.run("quarantine", "list", "--json").json
    operator.write({"files/orders.sh": RUNS + "# mended\n"})
    operator.commit("Mend orders")
    operator.run("apply")
    assert operator.run("quarantine", "list", "--json").json == {}
    assert running(operator).keys() == JOBS
    for replica in (0, 1):
        assert "# mended" in program_of(operator, machines, f"orders.main.{replica}")
    newest = operator.run("history", "--json").json
    assert [one["trigger"] for one in newest] == ["manual", "manual", "auto-revert", "manual", "manual"]
