"""Reconcile on the built-in worker: what it says, its exit codes, and its record."""

import json
from pathlib import Path
from typing import Any

from tests.operator import Operator

FILE = "jobs/roundtrip.collect.0/job.json"


def _edit(operator: Operator) -> Path:
    (state,) = (operator.home / "state/gitopsd").glob("local-1-*")
    job = (state / "current" / FILE).resolve()
    job.chmod(0o644)
    job.write_text(job.read_text().replace("tail", "once"))
    return job


def _rollouts(operator: Operator) -> Any:
    head = operator.git("rev-parse", "rendered/local")
    return json.loads(operator.git("notes", "--ref", "gitopsd/local", "show", head))["rollouts"]


def test_before_the_first_deployment_there_is_nothing_to_compare_with(operator: Operator) -> None:
    assert "gitopsd apply" in operator.run("reconcile", expect=1).stderr


def test_a_hot_edit_is_shown_and_overwritten_and_the_diff_is_recorded(operator: Operator) -> None:
    operator.run("apply")
    operator.run("reconcile", "--dry-run")
    job = _edit(operator)
    shown = operator.run("reconcile", "--dry-run", expect=2)
    assert f"changed-file: {FILE}: the file was edited on the worker" in shown.stdout
    assert '"mode": "tail"' in shown.stdout
    assert "once" in job.read_text(), "a dry run touches nothing"
    assert len(_rollouts(operator)) == 1
    as_json = operator.run("reconcile", "--dry-run", "--json", expect=2).json
    (drift,) = (one for one in as_json["workers"][0]["drift"] if one["kind"] == "changed-file")
    assert drift["field"] == "blob"
    assert drift["desired"] == operator.git("rev-parse", f"rendered/local:workers/local-1/{FILE}")
    operator.run("reconcile")
    (edit,) = _rollouts(operator)[-1]["overwritten"]["local-1"]
    assert edit["path"] == FILE
    assert '"mode": "once"' in edit["diff"]
    operator.run("reconcile", "--dry-run")
    assert "1 in-sync" in operator.run("reconcile").stdout
    assert len(_rollouts(operator)) == 2


def test_a_source_that_does_not_compile_keeps_nothing_from_being_put_right(operator: Operator) -> None:
    operator.run("apply")
    job = _edit(operator)
    operator.write({"workflows/roundtrip.yaml": "workflow: [\n"})
    assert "1 converged" in operator.run("reconcile", "local-1").stdout
    assert "tail" in job.read_text()
    assert _rollouts(operator)[-1]["only"] == ["local-1"]


def test_an_unknown_worker_is_named_with_those_that_there_are(operator: Operator) -> None:
    operator.run("apply")
    assert "did you mean `local-1`?" in operator.run("reconcile", "local-2", expect=1).stderr
