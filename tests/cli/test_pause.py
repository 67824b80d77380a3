"""An environment that is paused: nothing is applied, and everybody sees by whom and why."""

import time
from pathlib import Path

from tests.operator import Operator


def test_nothing_is_applied_to_a_paused_environment(operator: Operator) -> None:
    operator.run("apply")
    head = operator.run("pause", "--reason", "audit", "--json").json["commit"]
    refused = operator.run("apply", expect=1)
    assert "local is paused by" in refused.stderr
    assert ": audit" in refused.stderr
    assert "gitopsd resume" in refused.stderr
    assert operator.git("rev-parse", "rendered/local") == head
    assert "paused by" in operator.run("status").stdout
    assert operator.run("status", "--json").json[0]["pause"]["reason"] == "audit"
    assert "local is paused by" in operator.run("plan").stdout
    assert "nothing to commit" in operator.run("pause", "--reason", "audit").stdout
    operator.run("apply", "--despite-pause")
    assert operator.run("status", "--json").json[0]["pause"], "it stays"
    assert "local: not paused" in operator.run("resume").stdout
    assert "nothing to commit" in operator.run("resume").stdout
    operator.run("apply")
    assert operator.run("status", "--json").json[0]["pause"] is None


def test_a_first_deployment_waits_for_the_end_of_a_pause(operator: Operator) -> None:
    operator.run("pause", "--reason", "not yet")
    operator.run("worker", "cordon", "local-1", "--reason", "x")
    operator.run("worker", "uncordon", "local-1")
    assert "is paused by" in operator.run("apply", expect=1).stderr
    assert operator.run("history", "--json").json == []
    operator.run("resume")
    operator.run("apply")


def test_a_pause_that_is_over_keeps_nothing_back(operator: Operator, tmp_path: Path) -> None:
    operator.run("pause", "--reason", "lunch", "--for", "1s")
    time.sleep(1.1)
    operator.run("plan", "HEAD", "--out", str(tmp_path / "plan.json"))
    operator.run("apply", str(tmp_path / "plan.json"))
    assert operator.run("status", "--json").json[0]["pause"]["expired"]
    ran = operator.run("apply")
    assert "the pause expired at" in ran.stderr
    assert operator.run("status", "--json").json[0]["pause"] is None


def test_reconcile_heals_nothing_while_paused_and_shows_it_all_the_same(operator: Operator) -> None:
    operator.run("apply")
    operator.run("pause", "--reason", "a freeze")
    assert "a freeze" in operator.run("reconcile", expect=1).stderr
    operator.run("reconcile", "--dry-run")
    operator.run("resume")
    operator.run("reconcile")
