"""Workers that nobody reaches, as an operator sees them: left out for a while, shown, and tried when asked for."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.backoff import wait_for_longest
from tests.daemon.three_machines import KEY
from tests.operator import Operator, away_operator


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses every connection, as long as it is bound and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture
def away(operator: Operator, closed_port: int) -> Operator:
    """`far-1` is never reached; `local-1` is this machine."""
    far = {"far-1": {"address": "127.0.0.1", "port": closed_port, "host_key": f"{KEY}A"}}
    local = {"local-1": {"connection": "local", "service_manager": "supervisor"}}
    groups = {"far": {"workers": far}, "local": {"workers": local}}
    operator.write({"fleets/local.yaml": json.dumps({"groups": groups})})
    operator.commit("A worker that is away")
    operator.run("apply", expect=4)
    return operator


def tried(operator: Operator) -> dict[str, object]:
    one = operator.run("status", "--json").json[0]["tried"]
    assert isinstance(one, dict)
    return one


def test_a_worker_in_backoff_is_left_out_until_it_is_due_named_or_asked_for(away: Operator) -> None:
    wait_for_longest(away)
    ran = away.run("reconcile", expect=4).stdout
    assert "far-1: left out until" in ran
    assert "unreachable once; `--now` tries it" in ran
    assert "1 in-sync, 1 left out for now" in ran
    left = away.run("reconcile", "--json", expect=4).json
    assert [one["worker"] for one in left["workers"]] == ["local-1"]
    [out] = left["left_out"]
    assert (out["worker"], out["trouble"], out["attempts"], out["deployment"]) == ("far-1", "unreachable", 1, 1)
    assert out["last"] < out["next"]
    assert out["error"]
    assert away.run("reconcile", "--now", "--json", expect=4).json["left_out"] == []
    away.run("reconcile", "far-1", expect=4)
    assert tried(away)["attempts"] == 3
    wait_for_longest(away)
    dry = away.run("reconcile", "--dry-run", expect=4).stdout
    assert "a run without --dry-run leaves it out" in dry
    assert "far-1: unreachable" in dry
    assert tried(away)["attempts"] == 3, "a dry run is no attempt"


def test_another_version_ends_the_backoff_and_a_lost_file_too(away: Operator) -> None:
    away.run("reconcile", "--now", expect=4)
    workflow = away.folder / "workflows/roundtrip.yaml"
    workflow.write_text(workflow.read_text().replace("/out", "/other"))
    away.commit("Write elsewhere")
    away.run("apply", expect=4)
    assert (tried(away)["attempts"], tried(away)["deployment"]) == (1, 2)
    wait_for_longest(away)
    assert away.run("reconcile", "--json", expect=4).json["left_out"]
    (away.home / "state/gitopsd/controller/attempts.sqlite").write_bytes(b"damaged" * 1000)
    assert away.run("reconcile", "--json", expect=4).json["left_out"] == []


def test_of_a_worker_that_another_controller_put_right_no_vain_attempt_is_told(away: Operator) -> None:
    with closing(sqlite3.connect(away.home / "state/gitopsd/controller/attempts.sqlite")) as remembered:
        remembered.execute(
            "REPLACE INTO attempts SELECT repository, environment, 'local-1', remembered FROM attempts "
            "WHERE worker = 'far-1'"
        )
        remembered.commit()
    shown = away.run("status").stdout
    assert "far-1: unreachable once" in shown
    assert "local-1: unreachable" not in shown


def test_of_jobs_on_a_worker_that_is_away_nothing_is_claimed(tmp_path: Path) -> None:
    shown = away_operator(tmp_path).run("workloads", expect=1).stdout
    assert {tuple(line.split()[2:]) for line in shown.splitlines()[1:]} == {("unknown", "-", "-", "-", "-", "-")}


def test_why_and_status_tell_what_was_tried_and_what_comes_next(away: Operator) -> None:
    away.run("reconcile", "--now", expect=4)
    wait_for_longest(away)
    chain = away.run("why", "far-1")
    assert "unreachable 2 times in a row, last at" in chain.stdout
    assert "tries to reach it, attempt 3 of this deployment" in chain.stdout
    assert "bring the worker back" in chain.stdout
    assert "a `gitopsd reconcile` from 2" in away.run("why", "far-1", "--json").json["next_attempt"]
    assert "far-1: unreachable 2 times in a row" in away.run("status").stdout
    well = away.run("why", "local-1", "--json").json
    assert well["next_attempt"] == ""
    assert well["status"]["tried"] is None
    assert well["status"]["seen"]
    away.run("pause", "--reason", "audit")
    assert "has the environment paused: audit" in away.run("why", "far-1").stdout
