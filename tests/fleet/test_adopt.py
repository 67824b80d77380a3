"""`worker adopt` on a real machine: what it shows comes true, and nothing that runs is touched before that."""

from pathlib import Path
from typing import Any

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.operator import Operator

ROOT = "/var/lib/gitopsd"
LEAVES, CHANGES, STAYS, COMES = "orders.leaves.0", "orders.changes.0", "orders.stays.0", "orders.comes.0"
SLEEP = "blueprint: sleep\nparams: {seconds: {type: integer}}\njob: {exec: [sleep, '${{ params.seconds }}']}\n"


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    return fleet(names=("edge-1",))["edge-1"]


@pytest.fixture
def first(machine: Machine, tmp_path: Path) -> Operator:
    """Who deploys to the machine at first; it is empty then."""
    _forget_all(machine)
    operator = _repository(machine, tmp_path / "first", leaves=1000, changes=1000, stays=1000)
    operator.run("apply")
    return operator


@pytest.fixture
def second(machine: Machine, tmp_path: Path) -> Operator:
    return _repository(machine, tmp_path / "second", changes=2000, stays=1000, comes=1000)


def _repository(machine: Machine, home: Path, **steps: int) -> Operator:
    home.mkdir()
    config = home / "config.yaml"
    config.write_text(f"ssh: {{identity: {machine.client_key}}}\n")
    operator = Operator(folder=home / "repository", home=home, config=config)
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "fleets/local.yaml", "workflows/roundtrip.yaml")
    worker = f'{{address: {machine.address}, user: root, host_key: "{machine.host_key}"}}'
    uses = "".join(
        f"  {name}: {{use: blueprints/sleep, with: {{seconds: {seconds}}}, place: {{group: edge}}}}\n"
        for name, seconds in steps.items()
    )
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": f"groups:\n  edge:\n    workers:\n      edge-1: {worker}\n",
            "workflows/orders.yaml": f"workflow: orders\nsteps:\n{uses}channels: {{}}\n",
            "blueprints/sleep.yaml": SLEEP,
        }
    )
    operator.commit(home.name)
    return operator


def _sh(machine: Machine, script: str) -> str:
    return str(machine.run(["sh", "-ec", script]).stdout)


def _forget_all(machine: Machine) -> None:
    _sh(
        machine,
        "systemctl stop 'gitopsd-*' || true; rm -rf /etc/systemd/system/gitopsd-* /run/gitopsd "
        f"/etc/systemd/system/*.wants/gitopsd-* {ROOT}; systemctl daemon-reload; systemctl reset-failed",
    )


def _running(machine: Machine) -> str:
    return _sh(
        machine,
        f"find {ROOT} -path {ROOT}/agent -prune -o -name owner.json -prune -o -name 'lock' -prune -o -type f -print | "
        "sort | xargs sha256sum; readlink /var/lib/gitopsd/current; "
        "systemctl show -p Id,MainPID,InvocationID,ActiveState 'gitopsd-orders.*'",
    )


def _pids(machine: Machine) -> dict[str, str]:
    shown = _sh(machine, "systemctl show -p Id,MainPID 'gitopsd-orders.*'").split("\n\n")
    units = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown if block.strip()]
    return {unit["Id"].removeprefix("gitopsd-").removesuffix(".service"): unit["MainPID"] for unit in units}


def _adopt(operator: Operator, *options: str, expect: int = 0) -> Any:
    return operator.run("worker", "adopt", "edge-1", "--json", *options, expect=expect).json


def test_a_worker_of_another_branch_is_shown_then_taken_over_and_what_was_shown_comes_true(
    first: Operator, second: Operator, machine: Machine
) -> None:
    refused = second.run("apply", expect=1)
    assert "gitopsd worker adopt" in refused.stdout + refused.stderr
    before, pids = _running(machine), _pids(machine)
    shown = _adopt(second, "--dry-run")
    assert (shown["needed"], shown["adopted"]) == (True, False)
    assert shown["owner"]["root_commit"] == first.git("rev-list", "--max-parents=0", "rendered/production")
    assert (shown["stops"], shown["starts"]) == ([LEAVES], [COMES])
    assert (shown["restarts"], shown["stays"]) == ([CHANGES], [STAYS])
    assert shown["activated"] > 0
    second.run("apply", expect=1)  # looking gives nothing away
    second.run("worker", "adopt", "edge-1", expect=64)  # nor does nobody's yes
    assert _adopt(second, "--yes")["adopted"]
    assert _running(machine) == before, "until the next activation all runs on as it was"
    assert "owned" not in second.run("status").stdout
    assert first.run("apply", expect=1).stderr.count("Traceback") == 0
    assert _running(machine) == before
    second.run("reconcile", "--now")
    after = _pids(machine)
    assert set(after) == {CHANGES, STAYS, COMES}
    assert after[STAYS] == pids[STAYS]
    assert after[CHANGES] != pids[CHANGES]
    second.run("status", "--exit-code")
    again = second.run("worker", "adopt", "edge-1")
    assert "nothing to adopt" in again.stdout


def test_the_number_of_the_others_deployments_does_not_count_for_the_new_owner(
    first: Operator, second: Operator, machine: Machine
) -> None:
    for seconds in (1001, 1002, 1003):
        path = first.folder / "workflows/orders.yaml"
        path.write_text(path.read_text().replace(f"seconds: {seconds - 1}", f"seconds: {seconds}"))
        first.commit(f"{seconds} s")
        first.run("apply")
    second.run("apply", expect=1)
    assert _adopt(second, "--yes")["adopted"]
    second.run("apply")
    assert set(_pids(machine)) == {CHANGES, STAYS, COMES}


def test_a_worker_that_an_older_controller_left_without_an_owner_is_shown_and_adopted(
    first: Operator, second: Operator, machine: Machine
) -> None:
    del first  # what it deployed is there
    _sh(machine, f"rm {ROOT}/owner.json")
    _forget_release_of_second(second, machine)
    shown = _adopt(second, "--dry-run")
    assert (shown["owner"], shown["needed"]) == (None, True)
    assert shown["stops"] == [LEAVES]
    before = _running(machine)
    assert "nobody on record" in second.run("worker", "adopt", "edge-1", "--yes").stdout
    assert _running(machine) == before
    second.run("reconcile", "--now")
    assert set(_pids(machine)) == {CHANGES, STAYS, COMES}


def _forget_release_of_second(second: Operator, machine: Machine) -> None:
    """Commit what the machine should hold without reaching it."""
    machine.cut_link()
    try:
        second.run("apply", expect=4)
    finally:
        machine.restore_link()


def test_what_changed_after_it_was_looked_at_is_not_taken_over(
    first: Operator, second: Operator, machine: Machine, tmp_path: Path
) -> None:
    del first
    third = _repository(machine, tmp_path / "third", stays=1000)
    for operator in (second, third):
        operator.run("apply", expect=1)
    assert _adopt(third, "--yes")["adopted"]
    third.run("apply")
    assert _adopt(second, "--yes")["adopted"], "it looks anew"
    assert not _adopt(second, "--yes")["adopted"]


def test_an_empty_machine_needs_no_adopting(machine: Machine, second: Operator) -> None:
    _forget_all(machine)
    _forget_release_of_second(second, machine)
    shown = second.run("worker", "adopt", "edge-1")
    assert "deploys to it as it is" in shown.stdout
    assert machine.run(["test", "-e", f"{ROOT}/owner.json"], check=False).returncode != 0
    second.run("apply")
