"""The commands on the built-in worker, with real processes."""

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.operator import Operator, eventually


def test_a_version_is_planned_applied_and_runs(operator: Operator) -> None:
    plan = operator.run("plan", "--json", "--detailed-exitcode", expect=2).json
    assert {(change["job"], change["action"], change["effect"]) for change in plan["changes"]} == {
        ("roundtrip.collect.0", "create", "start"),
        ("roundtrip.deliver.0", "create", "start"),
    }
    applied = operator.run("apply", "--json").json
    assert applied["committed"]
    assert applied["plan_digest"] == plan["digest"]
    (operator.folder / "data/in/events").write_text('{"n": 1}\n{"n":2}\n')
    out = operator.folder / "data/out"
    eventually("both events arrive", lambda: _lines(out) == ['{"n": 1}', '{"n":2}'])
    operator.run("plan", "--detailed-exitcode", expect=0)
    operator.run("status", "--exit-code", expect=0)
    assert [one["trigger"] for one in operator.run("history", "--json").json] == ["manual"]


def test_applying_twice_changes_nothing_the_second_time(operator: Operator) -> None:
    operator.run("apply")
    head, processes = operator.git("rev-parse", "rendered/local"), _processes(operator)
    applied = operator.run("apply", "--json").json
    assert not applied["committed"]
    assert [worker["state"] for worker in applied["workers"]] == ["in-sync"]
    assert operator.git("rev-parse", "rendered/local") == head
    assert _processes(operator) == processes


def test_a_revert_returns_to_the_very_release_of_before(operator: Operator) -> None:
    operator.run("apply")
    first = operator.git("rev-parse", "rendered/local:workers/local-1")
    before = _processes(operator)
    path = "workflows/roundtrip.yaml"
    operator.write(
        {
            path: (operator.folder / path)
            .read_text()
            .replace("/out}", "/out, rotate_seconds: 60}")
            .replace('/out"}', '/out", rotate_seconds: 60}')
        }
    )
    operator.commit("Rotate")
    operator.run("apply")
    changed = _processes(operator)
    assert changed["roundtrip.collect.0"] == before["roundtrip.collect.0"]
    assert changed["roundtrip.deliver.0"] != before["roundtrip.deliver.0"]
    operator.git("-c", "user.name=O", "-c", "user.email=o@example.invalid", "revert", "--no-edit", "HEAD")
    operator.run("apply")
    assert operator.git("rev-parse", "rendered/local:workers/local-1") == first
    assert operator.git("rev-parse", "main") in operator.git("log", "-1", "--format=%B", "rendered/local")
    assert [one["deployment"] for one in operator.run("history", "--json").json] == [3, 2, 1]


def test_a_plan_that_was_shown_is_applied_or_nothing_is(operator: Operator) -> None:
    operator.run("plan", "HEAD", "--out", "../plan.json")
    operator.write(
        {"workflows/roundtrip.yaml": (operator.folder / "workflows/roundtrip.yaml").read_text() + "# more\n"}
    )
    operator.commit("Another version")
    operator.run("apply")
    ran = operator.run("apply", "../plan.json", expect=3)
    assert "the artifact branch" in ran.stderr
    operator.run("plan", "HEAD", "--out", "../plan.json")
    operator.run("apply", "../plan.json")


def test_a_job_that_was_killed_runs_again_by_itself(operator: Operator) -> None:
    operator.run("apply")
    before = _processes(operator)
    os.kill(before["roundtrip.deliver.0"], signal.SIGKILL)
    eventually(
        "it runs again",
        lambda: _processes(operator).get("roundtrip.deliver.0", 0) not in {0, before["roundtrip.deliver.0"]},
    )
    (operator.folder / "data/in/events").write_text('{"after": "the kill"}\n')
    eventually("events go on", lambda: _lines(operator.folder / "data/out") == ['{"after": "the kill"}'])


def test_a_hot_edit_shows_as_drift_and_apply_overwrites_it(operator: Operator) -> None:
    operator.run("apply")
    (state,) = (operator.home / "state/gitopsd").glob("local-1-*")
    job = (state / "current/jobs/roundtrip.collect.0/job.json").resolve()
    text = job.read_text()
    job.chmod(0o644)
    job.write_text(text.replace("tail", "once"))
    ran = operator.run("status", "--exit-code", expect=1)
    assert "changed-file: jobs/roundtrip.collect.0/job.json" in ran.stdout
    operator.run("apply")
    operator.run("status", "--exit-code")
    assert (state / "current/jobs/roundtrip.collect.0/job.json").read_text() == text


def test_a_workflow_that_is_removed_leaves_nothing_running(operator: Operator) -> None:
    operator.run("apply")
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
    operator.write({"gitopsd.yaml": "environments:\n  local: {fleet: fleets/local.yaml}\n"})
    operator.commit("Remove it")
    plan = operator.run("plan", "--json").json
    assert {change["job"]: change["effect"] for change in plan["changes"]} == {
        "roundtrip.collect.0": "stop",
        "roundtrip.deliver.0": "drain",
    }
    operator.run("apply", "--confirm-deletes")
    eventually("what was stored has been read", lambda: _states(operator) <= {"drained"})
    operator.run("reconcile")
    operator.run("apply")
    assert operator.run("workloads", "--json").json == []


def test_artifacts_live_in_the_remote_where_there_is_one(operator: Operator, tmp_path: Path) -> None:
    bare = tmp_path / "fleet.git"
    operator.git("clone", "--quiet", "--bare", ".", str(bare))
    operator.git("remote", "add", "origin", str(bare))
    operator.run("apply")
    there = subprocess.run(
        ["git", "--git-dir", str(bare), "rev-parse", "rendered/local"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert there == operator.git("rev-parse", "rendered/local")
    notes = subprocess.run(
        ["git", "--git-dir", str(bare), "notes", "--ref", "gitopsd/local", "show", there],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(notes.stdout)["rollouts"][0]["counts"] == {"converged": 1}


def test_the_demo_delivers_a_file_of_ones_own_exactly(tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    own.write_bytes(b'plain text\r\n\nnot UTF-8: \xff\xfe\n{"json": true}\nno newline at the end')
    operator = Operator(folder=tmp_path / "demo", home=tmp_path)
    try:
        ran = operator.run("demo", "--dir", str(operator.folder), "--input", str(own))
        assert "5 events" in ran.stdout
        assert "gitopsd worker teardown local-1" in ran.stdout
        again = operator.run("demo", "--dir", str(operator.folder))
        assert "1,707 events" in again.stdout
    finally:
        operator.run("worker", "teardown", "local-1", "--yes")


def _lines(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def _processes(operator: Operator) -> dict[str, int]:
    return {
        one["job"]: one["main_pid"] for one in operator.run("workloads", "--json").json if one["state"] == "running"
    }


def test_what_is_deployed_can_be_looked_at_while_the_source_is_broken(operator: Operator) -> None:
    operator.run("apply")
    operator.write({"workflows/roundtrip.yaml": "workflow: [\n"})
    operator.run("plan", expect=1)
    assert "in sync" in operator.run("status", "--exit-code").stdout
    assert len(operator.run("workloads", "--json").json) == 2
    assert len(operator.run("history", "--json").json) == 1
    operator.git("checkout", "--quiet", "workflows")


def _states(operator: Operator) -> set[str]:
    return {one["state"] for one in operator.run("workloads", "--json").json}
