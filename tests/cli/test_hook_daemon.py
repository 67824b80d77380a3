"""A push, from whoever pushes to the processes that run, with the real controller and the built-in worker."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.pushing import SERVER, SOCKET, Following, Pusher, pusher
from tests.operator import Operator, eventually

RUNS = "#!/bin/sh\nexec sleep 1000\n"
DIES = "#!/bin/sh\necho it can not go on >&2\nexit 3\n"
FLEET = """\
groups:
  local:
    rollout: {auto_revert: true, min_healthy_time: 1s, healthy_deadline: 20s}
    workers:
      local-1: {connection: local, service_manager: supervisor}
"""


@pytest.fixture
def ada(operator: Operator) -> Iterator[Pusher]:
    """Somebody whose workflow `orders` is one program; what runs in the end is stopped."""
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  local: {fleet: fleets/local.yaml}\n",
            "fleets/local.yaml": FLEET,
            "workflows/orders.yaml": (
                "workflow: orders\nsteps:\n  main: {use: blueprints/orders, place: {group: local}}\n"
            ),
            "blueprints/orders.yaml": (
                "blueprint: orders\njob:\n  kind: service\n  exec: ['${{ job.files }}/run']\n"
                "  files: {run: {from: files/orders.sh, mode: '0755'}}\n"
            ),
            "files/orders.sh": RUNS,
        }
    )
    operator.commit("A program")
    ada = pusher(operator)
    yield ada
    if ada.head("refs/heads/rendered/local"):
        operator.run("--repo", str(ada.bare), "worker", "teardown", "local-1", "--yes", expect=None)


@contextmanager
def controller(ada: Pusher) -> Iterator[None]:
    """`gitopsd daemon` for the server's repository, from when it listens."""
    home = ada.operator.home
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gitopsd", "--config", str(home / SERVER), "--repo", str(ada.bare), "daemon"],
            cwd=home,
            env=ada.operator.environment(),
            stderr=log,
        )
    try:
        eventually("the controller listens", lambda: (home / SOCKET).exists() or process.poll() is not None)
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_a_push_runs_and_one_that_fails_is_reverted_before_the_eyes_of_whoever_pushed(ada: Pusher) -> None:
    with controller(ada):  # of a repository that nobody has pushed to yet
        first = ada.push("main")
        assert first.remote.endswith("  local-1: converged (1 started)\nlocal: deployment 1: 1 converged")
        ada.edit("files/orders.sh", "1000", "2000")
        pushed = ada.push("main")
        assert "  ~ update orders.main.0: restarts" in pushed.remote
        assert "local: deployment 2 committed" in pushed.remote
        assert pushed.remote.endswith("  local-1: converged (1 restarted)\nlocal: deployment 2: 1 converged")
        ada.commit({"files/orders.sh": DIES})
        failed = ada.push("main")
    assert "  local-1: failed" in failed.remote
    assert "      | it can not go on" in failed.remote
    assert "orders goes back to deployment 2, and stays there" in failed.remote
    assert failed.remote.endswith("local: deployment 4: 1 converged")


def test_whoever_presses_ctrl_c_meanwhile_is_deployed_all_the_same(ada: Pusher) -> None:
    ada.push("main")
    with controller(ada):
        eventually("it is deployed", lambda: bool(ada.head("refs/notes/gitopsd/local")))
        ada.commit({"fleets/local.yaml": FLEET.replace("1s", "3s"), "files/orders.sh": RUNS.replace("1000", "3000")})
        note = ada.head("refs/notes/gitopsd/local")
        push = Following(ada, "main")
        push.until_said("local-1: activating")
        push.leave()
        eventually("the rollout is recorded", lambda: ada.head("refs/notes/gitopsd/local") != note)
    history = ada.operator.run("--repo", str(ada.bare), "history", "--json").json
    assert history[0]["deployment"] == 2
    assert history[0]["source_commit"] == ada.head()
