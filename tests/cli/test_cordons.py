"""Workers that take no new jobs, as an operator sees them; the only worker is this machine."""

import time
from pathlib import Path

import pytest

from gitopsd.cli.worker_cordon import show_moves
from gitopsd.daemon.workers.cordons import cordon_worker
from gitopsd.daemon.workspace import open_workspace
from tests.daemon.three_machines import KEY
from tests.operator import Operator


def test_a_cordon_is_shown_with_who_why_and_until_when(operator: Operator) -> None:
    ran = operator.run("worker", "cordon", "local-1", "--reason", "new  disk", "--for", "1d12h")
    assert "local-1: cordoned by" in ran.stdout
    assert ran.stdout.count("new disk") == 1
    listed = operator.run("worker", "list")
    assert "local-1: cordoned by" in listed.stdout
    [shown] = operator.run("worker", "list", "--json").json
    assert shown["cordon"]["reason"] == "new disk"
    assert shown["cordon"]["until"] > shown["cordon"]["since"]
    assert not shown["cordon"]["drained"]
    assert not shown["cordon"]["expired"]
    refused = operator.run("apply", expect=1)
    assert "`local-1`: it is cordoned" in refused.stderr
    assert "gitopsd worker uncordon" in refused.stderr
    assert "takes jobs" in operator.run("worker", "uncordon", "local-1").stdout
    assert operator.run("worker", "list", "--json").json[0]["cordon"] is None
    operator.run("apply")
    operator.run("worker", "cordon", "local-1", "--reason", "new disk", "--until", "2030-01-01T00:00+02:00")
    status = operator.run("status")
    assert "local-1 (cordoned)" in status.stdout
    assert "until 2029-12-31T22:00:00Z: new disk" in status.stdout
    assert operator.run("status", "--json").json[0]["cordon"]["until"] == "2029-12-31T22:00:00Z"
    assert "No changes" in operator.run("plan").stdout


def test_a_drain_that_leaves_jobs_nowhere_says_so_and_can_be_ended(operator: Operator) -> None:
    operator.run("apply")
    ran = operator.run("worker", "drain", "local-1", "--reason", "repair", expect=1)
    assert "local-1: drained by" in ran.stdout
    assert "it is being drained" in ran.stderr
    assert "gitopsd worker uncordon local-1" in ran.stderr
    assert "local-1 (drained)" in operator.run("status").stdout
    operator.run("apply", expect=1)
    operator.run("worker", "uncordon", "local-1")
    assert {worker["state"] for worker in operator.run("apply", "--json").json["workers"]} == {"in-sync"}


def test_a_controller_that_moved_the_jobs_before_that_was_shown_is_named(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = (operator.folder / "fleets/local.yaml").read_text()
    spare = f"  spare:\n    workers:\n      far-1: {{address: 127.0.0.1, port: 1, host_key: {KEY}A}}\n"
    operator.write({"fleets/local.yaml": fleet.replace("groups:\n", f"groups:\n{spare}")})
    operator.commit("A spare worker")
    operator.run("apply", expect=4)
    (operator.home / "empty.yaml").write_text("")
    workspace = open_workspace(str(operator.folder), operator.home / "empty.yaml", None)
    done = cordon_worker(workspace, "far-1", reason="repair", until="", drained=True)
    show_moves(workspace, done)
    assert capsys.readouterr().err == "no jobs have to be moved away from far-1\n"
    workflow = operator.folder / "workflows/roundtrip.yaml"
    operator.write({"workflows/roundtrip.yaml": workflow.read_text().replace("/out", "/other")})
    operator.commit("As the controller does")
    operator.run("apply", expect=4)
    show_moves(workspace, done)
    assert capsys.readouterr().err == (
        "no jobs are left to be moved away from far-1; deployment 2 came after this already: `gitopsd show 2`\n"
    )


def test_apply_ends_what_has_expired_and_a_plan_that_was_shown_is_applied_as_it_was(
    operator: Operator, tmp_path: Path
) -> None:
    operator.run("apply")
    operator.run("worker", "drain", "local-1", "--reason", "repair", "--for", "1s", expect=1)
    time.sleep(1.1)
    assert "local-1 (drained, expired)" in operator.run("status").stdout
    assert "expired at" in operator.run("worker", "list").stdout
    assert "it is being drained" in operator.run("plan", expect=1).stderr
    ran = operator.run("apply")
    assert "the cordon of local-1 expired at" in ran.stderr
    assert operator.run("worker", "list", "--json").json[0]["cordon"] is None
    operator.run("worker", "cordon", "local-1", "--reason", "repair", "--for", "1s")
    time.sleep(1.1)
    shown = operator.run("plan", "HEAD", "--out", str(tmp_path / "plan.json"))
    assert "the cordon of local-1 expired at" in shown.stdout
    operator.run("apply", str(tmp_path / "plan.json"))
    assert operator.run("worker", "list", "--json").json[0]["cordon"]["expired"]
    operator.run("apply")
    assert operator.run("worker", "list", "--json").json[0]["cordon"] is None
    assert operator.git("log", "-1", "--format=%s", "rendered/local") == "Remove what has expired"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reason", " "], "--reason takes a line of text"),
        (["--reason", "x" * 201], "at most 200 characters"),
        (["--reason", "\x1b[31m"], "--reason takes a line of text"),
        (["--reason", "x", "--for", "soon"], "such as 30m"),
        ([], "--reason"),
    ],
)
def test_what_makes_no_sense_is_refused(operator: Operator, arguments: list[str], said: str) -> None:
    ran = operator.run("worker", "drain", "local-1", *arguments, expect=64)
    assert said in " ".join(ran.stderr.split())
    assert not operator.git("branch", "--list", "rendered/local")
