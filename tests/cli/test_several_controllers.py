"""More than one person and clone at work: nobody's newer version is lost, nothing is called a success that is not."""

import subprocess
from pathlib import Path

from tests.operator import Operator

IDENTITY = ("-c", "user.name=Other", "-c", "user.email=other@example.invalid")


def _remote(operator: Operator, folder: Path) -> Path:
    bare = folder / "fleet.git"
    operator.git("clone", "--quiet", "--bare", ".", str(bare))
    operator.git("remote", "add", "origin", str(bare))
    operator.git("fetch", "--quiet")
    operator.git("branch", "--quiet", "--set-upstream-to", "origin/main")
    return bare


def _change(operator: Operator, seconds: int) -> str:
    path = "workflows/roundtrip.yaml"
    lines = [line for line in (operator.folder / path).read_text().splitlines() if "/out" not in line]
    position = next(index for index, line in enumerate(lines) if "in: collected" in line)
    lines.insert(position + 1, f'    with: {{path: "${{{{ params.data }}}}/out", rotate_seconds: {seconds}}}')
    operator.write({path: "\n".join(lines) + "\n"})
    return operator.commit(f"Rotate after {seconds} s")


def test_a_clone_that_is_behind_does_not_roll_the_fleet_back(operator: Operator, tmp_path: Path) -> None:
    bare = _remote(operator, tmp_path)
    other = Operator(folder=tmp_path / "other", home=tmp_path)
    subprocess.run(["git", "clone", "--quiet", str(bare), str(other.folder)], check=True)
    _change(operator, 30)
    operator.git("push", "--quiet", "origin", "main")
    operator.run("apply")
    deployed = operator.git("rev-parse", "rendered/local")
    ran = other.run("apply", expect=1)
    assert "which is not in this clone" in ran.stderr
    other.git("fetch", "--quiet")
    ran = other.run("apply", expect=1)
    assert "which is newer than" in ran.stderr
    assert other.git("ls-remote", "origin", "rendered/local").split()[0] == deployed
    assert "is older than" in other.run("apply", "HEAD", expect=1).stderr
    other.run("apply", "HEAD", "--hold", "the newer one is bad")
    assert other.git("ls-remote", "origin", "rendered/local").split()[0] != deployed


def test_a_rollout_counts_although_its_record_is_refused(operator: Operator, tmp_path: Path) -> None:
    bare = _remote(operator, tmp_path)
    hook = bare / "hooks/update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/notes/*) exit 1;; esac\n')
    hook.chmod(0o755)
    ran = operator.run("apply", "--json")
    assert [worker["state"] for worker in ran.json["workers"]] == ["converged"]
    assert "could not be recorded" in ran.stderr
    assert operator.run("history", "--json").json[0]["outcome"] == {}
    hook.unlink()
    operator.run("apply")
    assert operator.run("history", "--json").json[0]["outcome"] == {"converged": 1}, "nobody knew of it"


def test_a_repository_that_deployed_nothing_tears_nothing_down(tmp_path: Path) -> None:
    stranger = Operator(folder=tmp_path / "stranger", home=tmp_path)
    stranger.run("init", str(stranger.folder))
    ran = stranger.run("worker", "teardown", "local-1", "--yes", expect=1)
    assert "nothing was deployed" in ran.stderr


def test_a_renamed_worker_is_one_machine_and_settles(operator: Operator) -> None:
    """Under supervisor names are machines of their own: the old one leaves, and the new one takes the jobs over."""
    operator.run("apply")
    text = (operator.folder / "fleets/local.yaml").read_text()
    operator.write({"fleets/local.yaml": text.replace("local-1:", "north-1:")})
    operator.commit("Rename the worker")
    plan = operator.run("plan", "--json").json
    assert {(change["action"], change["worker"], change["moved_from"]) for change in plan["changes"]} == {
        ("move", "north-1", "local-1")
    }
    operator.run("apply")
    for _ in range(2):
        applied = operator.run("apply", "--json").json
        assert {worker["state"] for worker in applied["workers"]} == {"in-sync"}
    running = {one["worker"] for one in operator.run("workloads", "--json").json if one["state"] == "running"}
    assert running == {"north-1"}
    operator.run("worker", "teardown", "north-1", "--yes")


def test_one_odd_worker_does_not_stop_the_others(operator: Operator) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN"
    text = (operator.folder / "fleets/local.yaml").read_text()
    odd = f'groups:\n  other:\n    workers:\n      odd-1: {{address: a..b, host_key: "{key}"}}\n'
    operator.write({"fleets/local.yaml": text.replace("groups:\n", odd)})
    operator.commit("An odd worker")
    ran = operator.run("apply", "--json", expect=None)
    assert ran.code in {1, 4}
    states = {worker["worker"]: worker["state"] for worker in ran.json["workers"]}
    assert states["local-1"] in {"converged", "in-sync"}
    assert states["odd-1"] in {"failed", "unreachable"}
    assert operator.run("history", "--json").json[0]["errors"].keys() == {"odd-1"}
