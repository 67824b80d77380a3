"""Two real machines: jobs leave the one that is drained, and a machine that left the fleet is let go of."""

import json

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator

WORKFLOW = """\
workflow: logs
steps:
  collect:
    use: std/read-files
    with: {glob: /srv/in/*.jsonl, mode: tail}
    out: raw
    place: {group: edge, replicas: 2}
  deliver:
    use: std/write-files
    in: raw
    with: {path: "/srv/out-${{ job.replica }}"}
    place: {group: edge, replicas: 2}
channels:
  raw: {transport: worker}
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
    operator.write({"workflows/logs.yaml": WORKFLOW})
    declare(operator, machines, "edge-1", "edge-2")
    operator.run("apply")
    return operator


def declare(operator: Operator, machines: Fleet, *names: str) -> None:
    """The fleet file with these workers, committed."""
    workers = workers_of(machines[name] for name in names)
    operator.write({"fleets/production.yaml": json.dumps({"groups": {"edge": {"workers": workers}}})})
    operator.commit(f"Workers {', '.join(names)}")


def running(machines: Fleet, name: str) -> set[str]:
    """The units of gitopsd's that run, as systemd on the machine itself says."""
    command = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active", "gitopsd-*.service"]
    return {line.split()[0] for line in machines[name].run(command).stdout.splitlines()}


def recorded(operator: Operator) -> set[str]:
    return set(json.loads(operator.git("show", "rendered/production:fleet.json"))["workers"])


def test_a_drained_machine_gives_its_jobs_to_the_other(operator: Operator, machines: Fleet) -> None:
    own, others = running(machines, "edge-1"), running(machines, "edge-2")
    assert len(own) == len(others) == 2
    ran = operator.run("worker", "drain", "edge-1", "--reason", "new disk")
    assert "`gitopsd apply` moves 2 jobs away" in ran.stderr
    assert running(machines, "edge-1") == own, "until it is applied"
    plan = operator.run("plan", "--json").json
    assert {(change["action"], change["moved_from"], change["reason"]) for change in plan["changes"]} == {
        ("move", "edge-1", "`edge-1` is being drained"),
        ("unchanged", "", "nothing it is made of changed"),
    }
    operator.run("apply")
    assert running(machines, "edge-1") == set()
    assert running(machines, "edge-2") == own | others
    assert "edge-1 (drained)" in operator.run("status", "--exit-code").stdout
    operator.run("worker", "uncordon", "edge-1")
    assert "No changes" in operator.run("plan").stdout
    assert {worker["state"] for worker in operator.run("apply", "--json").json["workers"]} == {"in-sync"}


def test_a_machine_that_left_is_dropped_once_it_was_seen_empty(operator: Operator, machines: Fleet) -> None:
    declare(operator, machines, "edge-2")
    ran = operator.run("apply")
    assert "edge-1 left the fleet" in ran.stderr
    assert recorded(operator) == {"edge-2"}
    head = operator.git("rev-parse", "rendered/production")
    results = operator.run("apply", "--json").json["workers"]
    assert [(worker["worker"], worker["state"]) for worker in results] == [("edge-2", "in-sync")]
    assert operator.git("rev-parse", "rendered/production") == head


def test_a_dead_machine_is_forgotten(operator: Operator, machines: Fleet) -> None:
    declare(operator, machines, "edge-1", "edge-2")
    operator.run("worker", "drain", "edge-2", "--reason", "the other way round")
    operator.run("apply")
    assert len(running(machines, "edge-1")) == 4
    operator.run("worker", "uncordon", "edge-2")
    machines["edge-1"].cut_link()
    try:
        declare(operator, machines, "edge-2")
        operator.run("apply", expect=4)
        assert recorded(operator) == {"edge-1", "edge-2"}
        operator.run("apply", expect=4)
        ran = operator.run("worker", "forget", "edge-1", "--yes")
        assert ran.stderr.count("logs.") == 4, "what may still run there"
        operator.run("apply")
        assert recorded(operator) == {"edge-2"}
    finally:
        machines["edge-1"].restore_link()
    assert len(running(machines, "edge-1")) == len(running(machines, "edge-2")) == 4
