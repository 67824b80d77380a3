"""A version whose job dies, as its operator sees it; the only worker is this machine, the processes are real."""

import pytest

from tests.operator import Operator

RUNS = "#!/bin/sh\nexec sleep 1000\n"
DIES = "#!/bin/sh\necho it can not go on >&2\nexit 3\n"


def program(name: str) -> dict[str, str]:
    """A workflow of one job that is `files/NAME.sh`."""
    return {
        f"blueprints/{name}.yaml": (
            f"blueprint: {name}\njob:\n  kind: service\n  exec: ['${{{{ job.files }}}}/run']\n"
            f"  files: {{run: {{from: files/{name}.sh, mode: '0755'}}}}\n"
        ),
        f"workflows/{name}.yaml": (
            f"workflow: {name}\nsteps:\n  main: {{use: blueprints/{name}, place: {{group: local}}}}\n"
        ),
    }


@pytest.fixture
def deployed(operator: Operator) -> Operator:
    """Deployment 1 is well: the workflows `alerts` and `orders`, of one job each."""
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  local: {fleet: fleets/local.yaml}\n",
            "fleets/local.yaml": (
                "groups:\n  local:\n    rollout: {auto_revert: true, min_healthy_time: 2s, healthy_deadline: 20s}\n"
                "    workers:\n      local-1: {connection: local, service_manager: supervisor}\n"
            ),
            **program("orders"),
            **program("alerts"),
            "files/orders.sh": RUNS,
            "files/alerts.sh": RUNS,
        }
    )
    operator.commit("Two programs")
    operator.run("apply")
    return operator


def processes(operator: Operator) -> dict[str, int]:
    return {
        one["job"]: one["main_pid"] for one in operator.run("workloads", "--json").json if one["state"] == "running"
    }


def break_orders(operator: Operator) -> None:
    operator.write({"files/orders.sh": DIES, "files/alerts.sh": RUNS + "# better\n"})
    operator.commit("Better alerts, and orders that die")


def test_what_failed_goes_back_the_other_workflow_goes_on_and_nothing_is_tried_again(deployed: Operator) -> None:
    orders = deployed.git("rev-parse", "rendered/local:workers/local-1/jobs/orders.main.0")
    break_orders(deployed)
    ran = deployed.run("apply", expect=1)
    assert "deployment 2 failed: orders.main.0 on local-1" in ran.stderr
    assert "orders goes back to deployment 1, and stays there" in ran.stderr
    assert "orders reverted by 3" in ran.stdout
    assert deployed.git("rev-parse", "rendered/local:workers/local-1/jobs/orders.main.0") == orders
    alerts = deployed.git("show", "rendered/local:workers/local-1/jobs/alerts.main.0/files/run")
    assert "# better" in alerts
    running = processes(deployed)
    assert running.keys() == {"orders.main.0", "alerts.main.0"}
    deployed.run("status", "--exit-code")

    again = deployed.run("apply", "--json").json
    assert not again["committed"]
    assert [worker["state"] for worker in again["workers"]] == ["in-sync"]
    assert processes(deployed) == running

    deployed.write({"files/alerts.sh": RUNS + "# best\n"})
    deployed.commit("Still better alerts")
    deployed.run("apply")
    after = processes(deployed)
    assert after["orders.main.0"] == running["orders.main.0"]
    assert after["alerts.main.0"] != running["alerts.main.0"]

    deployed.write({"files/orders.sh": RUNS + "# mended\n"})
    deployed.commit("Mend orders")
    deployed.run("apply")
    assert deployed.run("quarantine", "list", "--json").json == {}
    assert "# mended" in deployed.git("show", "rendered/local:workers/local-1/jobs/orders.main.0/files/run")


def test_it_is_shown_wherever_somebody_looks(deployed: Operator) -> None:
    break_orders(deployed)
    applied = deployed.run("apply", "--json", expect=1).json
    assert applied["reverted"]["orders"]["by"] == 3
    assert applied["reverted"]["orders"]["to"] == 1
    assert [worker["state"] for worker in applied["workers"]] == ["failed", "converged"]

    assert "orders: quarantined by" in deployed.run("status").stdout
    [status] = deployed.run("status", "--json").json
    assert status["quarantines"]["orders"]["failed"] == 2
    listed = deployed.run("quarantine", "list")
    assert "held as deployment 1 has it" in listed.stdout
    assert "`gitopsd quarantine release orders`" in listed.stdout
    known = deployed.run("quarantine", "list", "--json").json
    assert known["orders"]["reason"].startswith("deployment 2 failed: orders.main.0 on local-1: ")
    assert len(known["orders"]["compiled"]) == 40

    plan = deployed.run("plan")
    assert "! held orders.main.0: what runs is not touched" in plan.stdout
    assert "No changes: 1 jobs are as this version has them, 1 are held." in plan.stdout
    planned = deployed.run("plan", "--json").json
    assert [(one["workflow"], one["returns_to"]) for one in planned["quarantined"]] == [("orders", 1)]
    assert "held as deployment 1 has it" in deployed.run("plan", "--format", "markdown").stdout
    assert "is quarantined by" in deployed.run("explain", "orders.main", expect=1).stderr
    deployed.run("graph", "orders", "--plan")

    history = deployed.run("history")
    assert "auto-revert" in history.stdout
    assert "orders reverted by 3" in history.stdout
    newest, failed, _ = deployed.run("history", "--json").json
    assert newest["trigger"] == "auto-revert"
    assert newest["subject"] == "orders goes back to deployment 1"
    assert failed["reverted"]["orders"]["by"] == 3
    assert "orders went back to what deployment 1 has, by deployment 3" in deployed.run("show", "2").stdout


def test_a_person_quarantines_and_releases(deployed: Operator) -> None:
    deployed.write({"files/orders.sh": RUNS + "# second\n"})
    deployed.commit("Second")
    deployed.run("apply")
    second = deployed.git("rev-parse", "rendered/local:workers")
    ran = deployed.run("quarantine", "add", "orders", "--reason", "it loses events")
    assert "orders: quarantined by" in ran.stdout
    assert "gitopsd apply" in ran.stderr
    assert "as before" in deployed.run("quarantine", "add", "orders", "--reason", "it loses events").stdout
    plan = deployed.run("plan", "--json").json
    [change] = [change for change in plan["changes"] if change["job"] == "orders.main.0"]
    assert (change["action"], change["effect"]) == ("update", "restart")
    assert change["reason"].startswith("held as deployment 1 has it: changed: the file `run`")
    deployed.run("apply")
    assert "second" not in deployed.git("show", "rendered/local:workers/local-1/jobs/orders.main.0/files/run")
    assert deployed.run("quarantine", "release", "orders", "--json").json["quarantine"] is None
    assert "as before" in deployed.run("quarantine", "release", "orders").stdout
    assert "no workflow is quarantined" in deployed.run("quarantine", "list").stdout
    deployed.run("apply")
    assert deployed.git("rev-parse", "rendered/local:workers") == second


REFUSED = (
    (["add", "order", "--reason", "x"], 1, "did you mean `orders`?"),
    (["release", "order"], 1, "did you mean `orders`?"),
    (["add", "orders"], 64, "--reason"),
    (["add", "orders", "--reason", " "], 64, "--reason takes a line of text"),
    (["add", "orders", "--reason", "x", "--for", "soon"], 64, "such as 30m"),
)


def test_what_makes_no_sense_is_refused(deployed: Operator) -> None:
    head = deployed.git("rev-parse", "rendered/local")
    for arguments, code, said in REFUSED:
        ran = deployed.run("quarantine", *arguments, expect=code)
        assert said in " ".join(ran.stderr.split())
    assert deployed.git("rev-parse", "rendered/local") == head


def test_a_workflow_that_never_went_well_is_taken_out_until_it_is_mended(deployed: Operator) -> None:
    deployed.write({**program("fresh"), "files/fresh.sh": DIES})
    deployed.commit("A new workflow that dies")
    ran = deployed.run("apply", expect=1)
    assert "fresh is taken out: none of its deployments went well" in ran.stderr
    assert processes(deployed).keys() == {"orders.main.0", "alerts.main.0"}
    assert not deployed.run("apply", "--json").json["committed"]
    assert "fresh: nothing of it is to run" in deployed.run("plan").stdout
    deployed.write({"files/fresh.sh": RUNS})
    deployed.commit("Mend it")
    deployed.run("apply")
    assert "fresh.main.0" in processes(deployed)
