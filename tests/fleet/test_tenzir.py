"""A Tenzir pipeline as a job of a real machine. It takes a gigabyte, so it runs only where somebody has it.

`pip install tenzir` into any environment, then GITOPSD_TENZIR=ENVIRONMENT/lib/python3.11/site-packages/tenzir/bundled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.operator import Operator, eventually

if TYPE_CHECKING:
    from tests.fleet.fixtures import StartFleet
    from tests.fleet.machine import Machine

TENZIR = os.environ.get("GITOPSD_TENZIR", "")
JOB = "scores.rate.0"
GOLDEN = Path(__file__).parents[1] / "golden/engines/source/workflows/scores.yaml"

pytestmark = pytest.mark.skipif(not TENZIR, reason="needs Tenzir, of a gigabyte: see GITOPSD_TENZIR in this file")


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    # where its own packages put it, too
    machine = fleet(names=("edge-1",), shared={"/opt/tenzir": Path(TENZIR)})["edge-1"]
    machine.run(["mkdir", "-p", "/srv/scores/in"])
    return machine


@pytest.fixture(scope="module")
def operator(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    home = tmp_path_factory.mktemp("home")
    (home / ".config/gitopsd").mkdir(parents=True)
    (home / ".config/gitopsd/config.yaml").write_text(f"ssh: {{identity: {machine.client_key}}}\n")
    operator = Operator(folder=home / "repository", home=home)
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    worker = {"address": machine.address, "user": "root", "host_key": machine.host_key}
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": json.dumps({"groups": {"edge": {"workers": {"edge-1": worker}}}}),
            "workflows/scores.yaml": GOLDEN.read_text(),
        }
    )
    operator.commit("Scores")
    operator.run("worker", "probe", "--commit")
    operator.run("apply")
    return operator


def put(machine: Machine, name: str, amounts: list[int]) -> None:
    text = "".join(f'{{"amount": {amount}}}\n' for amount in amounts)
    command = ["sh", "-c", "cat > /srv/scores/in/.new && mv /srv/scores/in/.new /srv/scores/in/$0.jsonl", name]
    machine.run(command, input=text)


def scores(machine: Machine) -> list[int]:
    written = machine.run(["sh", "-c", "cat /srv/scores/out/*.jsonl"], check=False).stdout
    return [json.loads(line)["score"] for line in written.splitlines()]


def test_events_go_through_a_pipeline(machine: Machine, operator: Operator) -> None:
    assert operator.run("status", "--exit-code").code == 0
    put(machine, "a", [99, 100, 101])
    eventually("two scores", lambda: len(scores(machine)) >= 2)
    assert scores(machine) == [200, 202]


def test_a_pipeline_that_tenzir_refuses_is_not_activated_and_a_good_one_is(
    machine: Machine, operator: Operator
) -> None:
    release = machine.run(["readlink", "/var/lib/gitopsd/current"]).stdout
    good = GOLDEN.read_text()
    operator.write({"workflows/scores.yaml": good.replace("drop amount", "dropp amount")})
    operator.commit("A mistake")
    refused = operator.run("apply", expect=1).stderr
    assert f"{JOB}: `tenzir " in refused
    assert "error: operator `dropp` not found" in refused
    assert machine.run(["readlink", "/var/lib/gitopsd/current"]).stdout == release
    operator.write({"workflows/scores.yaml": good.replace("amount * 2", "amount * 3")})
    operator.commit("Put it right")
    operator.run("apply")
    put(machine, "b", [100])
    eventually("the new score", lambda: scores(machine)[-1] == 300)


def test_no_event_is_lost_when_the_pipeline_changes(machine: Machine, operator: Operator) -> None:
    for factor in (4, 5):
        text = GOLDEN.read_text().replace("drop amount", "").replace("amount * 2", f"amount * {factor}")
        operator.write({"workflows/scores.yaml": text})
        operator.commit(f"Times {factor}, and the amount stays")
        if factor == 5:
            put(machine, "many", list(range(1000, 21_000)))
        operator.run("apply")

    def amounts() -> set[int]:
        written = machine.run(["sh", "-c", "cat /srv/scores/out/*.jsonl"]).stdout
        return {json.loads(line).get("amount", 0) for line in written.splitlines()}

    eventually("all of them", lambda: amounts() >= set(range(1000, 21_000)))
