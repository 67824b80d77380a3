"""Two real machines and two workers beside the controller: one is cut off, and what ran there runs elsewhere."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.backoff import been_silent_for
from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator

LOST_AFTER = 30
KEEPER = """\
blueprint: keeper
job: {exec: [python3, -c, "import time; time.sleep(100000)"]}
"""
WORKFLOW = """\
workflow: orders
steps:
  keep: {use: blueprints/keeper, place: {group: edge, replicas: 4}}
"""
SPOOL = """\
workflow: spool
steps:
  collect:
    use: std/read-files
    with: {glob: /srv/in/*.jsonl, mode: tail}
    out: raw
    place: {group: edge, constraints: [label.spool == yes]}
  deliver:
    use: std/write-files
    in: raw
    with: {path: /srv/out}
    place: {group: edge, constraints: [label.spool == yes]}
channels:
  raw: {transport: file-store, path: /srv/spool}
"""


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    return fleet(names=("edge-1", "edge-2"))


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    operator = production_operator(tmp_path_factory.mktemp("home"), machines)
    workers = workers_of(machines.values())
    workers["edge-1"]["labels"] = {"spool": "yes"}
    workers |= {name: {"connection": "local", "service_manager": "supervisor"} for name in ("local-1", "local-2")}
    groups = {"edge": {"lost_after": f"{LOST_AFTER}s", "workers": workers}}
    operator.write(
        {
            "fleets/production.yaml": json.dumps({"groups": groups}),
            "workflows/orders.yaml": WORKFLOW,
            "blueprints/keeper.yaml": KEEPER,
        }
    )
    operator.commit("Keep four")
    try:
        operator.run("apply")
        yield operator
    finally:
        for name in ("local-1", "local-2"):
            operator.run("worker", "teardown", name, "--yes", expect=None)


@contextmanager
def cut(machines: Fleet, *names: str) -> Iterator[None]:
    for name in names:
        machines[name].cut_link()
    try:
        yield
    finally:
        for name in names:
            machines[name].restore_link()


def silent_for_too_long(operator: Operator, *names: str) -> None:
    """One attempt that reaches nobody of these, and then as long as the group allows, as its controller knows."""
    ran = operator.run("reconcile", "--now", "--json", expect=4).json
    assert {one["worker"] for one in ran["workers"] if one["state"] == "unreachable"} == set(names)
    assert (ran["lost"], ran["not_moved"]) == ({}, {})
    been_silent_for(operator, LOST_AFTER)


def running(machines: Fleet, name: str) -> set[str]:
    """The units of gitopsd's that run, as systemd on the machine itself says."""
    command = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active", "gitopsd-*.service"]
    units = {line.split()[0] for line in machines[name].run(command).stdout.splitlines()}
    return {unit.removeprefix("gitopsd-").removesuffix(".service") for unit in units}


def placement(operator: Operator, workflow: str = "orders") -> dict[str, str]:
    record = json.loads(operator.git("show", f"rendered/production:placement/{workflow}.json"))
    return dict(record["jobs"])


def lost(operator: Operator) -> set[str]:
    return set(json.loads(operator.git("show", "rendered/production:facts.json"))["lost"])


def head(operator: Operator) -> str:
    return operator.git("rev-parse", "rendered/production")


def test_what_ran_on_a_machine_that_stays_away_runs_elsewhere_and_stays_there(
    operator: Operator, machines: Fleet
) -> None:
    before, first = placement(operator), head(operator)
    [own] = [job for job, worker in before.items() if worker == "edge-2"]
    with cut(machines, "edge-2"):
        silent_for_too_long(operator, "edge-2")
        assert head(operator) == first

        why = operator.run("why", "edge-2").stdout
        assert "unreachable once" in why
        assert f"given up as lost, and its jobs move, when it stays silent for {LOST_AFTER}s" in why
        assert "bring the worker back" in why

        dry = operator.run("reconcile", "--dry-run", "--json", expect=4).json
        assert set(dry["lost"]) == {"edge-2"}
        assert dry["moves"][own]["from"] == "edge-2"
        assert head(operator) == first, "a dry run commits nothing"

        moved = operator.run("reconcile", "--json", expect=4).json
        assert set(moved["lost"]) == {"edge-2"}
        target = moved["moves"][own]["to"]
        after = placement(operator)
        assert after == {**before, own: target}, "nothing else moves"
        states = {one["worker"]: one["state"] for one in moved["workers"]}
        assert states.pop("edge-2") == "unreachable"
        assert states.pop(target) == "converged"
        assert set(states.values()) == {"in-sync"}
        assert {one["job"]: one["state"] for one in operator.run("workloads", "--json", expect=1).json}[
            own
        ] == "running"
        newest = operator.run("history", "--json").json[0]
        assert (newest["deployment"], newest["trigger"]) == (2, "lost")
        assert "edge-2 (lost)" in operator.run("status").stdout
        assert running(machines, "edge-2") == {own}, "nobody told it"

        again = operator.run("reconcile", "--now", "--json", expect=4).json
        assert (again["lost"], again["not_moved"]) == ({}, {})
        assert placement(operator) == after

    back = operator.run("reconcile", "--now", "--json").json
    assert back["returned"] == ["edge-2"]
    assert {one["worker"]: one["state"] for one in back["workers"]}["edge-2"] == "converged"
    assert running(machines, "edge-2") == set(), "what moved is stopped where it was"
    assert lost(operator) == set()
    assert placement(operator) == after, "and doesn't flap back"
    settled = head(operator)
    assert {one["state"] for one in operator.run("reconcile", "--json").json["workers"]} == {"in-sync"}
    assert "No changes" in operator.run("plan").stdout
    assert head(operator) == settled


def test_nothing_moves_where_more_than_30_percent_of_the_group_is_away(operator: Operator, machines: Fleet) -> None:
    first = head(operator)
    with cut(machines, "edge-1", "edge-2"):
        silent_for_too_long(operator, "edge-1", "edge-2")
        kept = operator.run("reconcile", "--json", expect=4).json
        assert kept["lost"] == {}
        assert set(kept["not_moved"]) == {"edge-1", "edge-2"}
        assert "2 of 4 workers of `edge` are away, more than 30 %" in kept["not_moved"]["edge-1"]
        assert head(operator) == first
    operator.run("reconcile", "--now")


def test_nothing_moves_from_a_machine_that_may_hold_events_of_its_own(operator: Operator, machines: Fleet) -> None:
    operator.write({"workflows/spool.yaml": SPOOL})
    operator.commit("A spool on edge-1")
    machines["edge-1"].run(["mkdir", "-p", "/srv/in"])
    operator.run("apply")
    first = head(operator)
    with cut(machines, "edge-1"):
        silent_for_too_long(operator, "edge-1")
        kept = operator.run("reconcile", expect=4).stdout
        assert "edge-1: is silent for too long, and nothing of it is moved: events may lie in /srv/spool there" in kept
        assert head(operator) == first
    operator.run("reconcile", "--now")
    operator.run("status", "--exit-code")
