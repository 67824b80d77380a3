"""Unmanaged copies on the built-in worker, by the commands."""

import subprocess
import sys
from typing import Any

import pytest

from tests.operator import Operator, eventually

DELIVER = "roundtrip.deliver.0"


def _listed(operator: Operator) -> dict[str, Any]:
    return {one["name"]: one for one in operator.run("job", "list", "--json").json}


def _feed(operator: Operator, name: str, events: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitopsd", "job", "feed", name],
        input=events,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=operator.environment(),
        cwd=operator.folder,
    )


def test_a_copy_is_made_fed_edited_kept_and_removed(operator: Operator) -> None:
    operator.run("apply")
    ran = operator.run("job", "clone", DELIVER, "mine", "--start")
    assert "mine: a copy of roundtrip.deliver.0 on local-1" in ran.stdout
    mine = _listed(operator)["mine"]
    assert (mine["managed"], mine["state"], mine["copied_from"]) == (False, "running", DELIVER)
    assert _feed(operator, "mine", '{"n": 1}\n').stdout == "mine: 1 of 1 events acknowledged at its input default\n"
    (state,) = (operator.home / "state/gitopsd").glob("local-1-*")
    assert [path.read_text() for path in state.glob("copies/mine/state/written/*")] == ['{"n": 1}\n']
    assert list((operator.folder / "data/out").glob("*.jsonl")) == []

    path = operator.folder / "workflows/roundtrip.yaml"
    path.write_text(path.read_text().replace("deliver:", "deliver_not:", 0).replace("mode: tail", "mode: once"))
    operator.commit("Another version")
    operator.run("apply")
    operator.run("status", "--exit-code")
    operator.run("reconcile")
    assert _listed(operator)["mine"]["main_pid"] == mine["main_pid"]
    table = operator.run("job", "list").stdout
    assert "unmanaged" in table
    ran = operator.run("worker", "teardown", "local-1", "--yes", expect=1)
    assert "--with-copies" in ran.stderr
    operator.run("job", "remove", "mine", expect=64)
    operator.run("job", "remove", "mine", "--yes")
    assert "mine" not in _listed(operator)


def test_a_copy_that_was_not_started_can_not_be_fed_and_says_so(operator: Operator) -> None:
    operator.run("apply")
    made = operator.run("job", "clone", DELIVER, "--json").json
    assert (made["name"], made["worker"]) == ("roundtrip-deliver-0-copy", "local-1")
    eventually("it is listed", lambda: _listed(operator)[made["name"]]["state"] == "stopped")
    fed = _feed(operator, made["name"], "{}\n")
    assert (fed.returncode, "is the copy started?" in fed.stderr) == (1, True)
    again = operator.run("job", "clone", DELIVER, expect=1)
    assert "there is a copy roundtrip-deliver-0-copy already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("clone", "roundtrip.delivr.0"), 1, "did you mean `roundtrip.deliver.0`?"),
        (("clone", DELIVER, "../etc"), 64, "can't name a copy"),
        (("clone", DELIVER, "mine", "--on", "nowhere"), 1, "local-1"),
        (("remove", "mine", "--yes"), 1, "there is no copy `mine`"),
        (("remove", "a.b", "--yes"), 64, "can't name a copy"),
    ],
)
def test_what_can_not_be_done_is_told_with_the_way_out(
    operator: Operator, arguments: tuple[str, ...], code: int, said: str
) -> None:
    operator.run("apply")
    assert said in operator.run("job", *arguments, expect=code).stderr


def test_before_the_first_deployment_there_is_nothing_to_copy_or_adopt(operator: Operator) -> None:
    assert "gitopsd apply" in operator.run("job", "clone", DELIVER, expect=1).stderr
    assert "gitopsd apply" in operator.run("worker", "adopt", "local-1", expect=1).stderr
    assert operator.run("job", "list", "--json").json == []


def test_a_built_in_worker_of_ones_own_needs_no_adopting(operator: Operator) -> None:
    operator.run("apply")
    assert "nothing to adopt" in operator.run("worker", "adopt", "local-1").stdout
