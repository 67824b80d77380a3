"""Holds and windows as people meet them: refused with the way out, and shown wherever the environment is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.operator import Operator, away_operator


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Deployed once, with a version since then that changes no release."""
    found = away_operator(tmp_path)
    found.write({"files/unused.txt": "x\n"})
    found.commit("Newer")
    return found


def test_a_version_is_held_until_somebody_resumes(operator: Operator) -> None:
    refused = operator.run("apply", "HEAD~1", expect=1).stderr
    assert "is not the head of the source branch" in refused
    assert "--hold REASON" in refused
    assert "--for says how long" in operator.run("apply", "--for", "2h", expect=64).stderr
    operator.run("apply", "HEAD~1", "--hold", "incident 12", "--for", "2h", expect=4)
    commit = operator.git("rev-parse", "HEAD~1")
    assert f"held at {commit[:12]} by" in operator.run("status").stdout
    (shown,) = operator.run("status", "--json").json[0]["holds"]
    assert (shown["kind"], shown["commit"], shown["reason"]) == ("hold", commit, "incident 12")
    assert "incident 12" in operator.run("plan", "HEAD").stdout
    assert "incident 12" in operator.run("plan", "HEAD", "--format", "markdown").stdout
    assert operator.run("plan", "HEAD", "--json").json["holds"][0]["until"] > shown["since"]
    assert "`gitopsd resume` ends the hold" in operator.run("apply", expect=1).stderr
    assert "nor held at a version (committed as" in operator.run("resume").stdout
    operator.run("apply", expect=4)


def test_a_version_that_is_refused_is_not_held_either(operator: Operator, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"secrets: {{token: {{file: {tmp_path}/token}}}}\n")
    operator.write(
        {
            "blueprints/keep.yaml": "blueprint: keep\nsecrets: [token]\njob: {exec: [sleep, infinity]}\n",
            "workflows/keep.yaml": "workflow: keep\nsteps:\n  keep: {use: blueprints/keep, place: {group: local}}\n",
        }
    )
    operator.commit("A secret")
    operator.write({"files/unused.txt": "y\n"})
    operator.commit("Newer still")
    bound = replace(operator, config=config)
    refused = bound.run("apply", "HEAD~1", "--hold", "incident 12", expect=1).stderr
    assert "the secret `token`" in refused
    assert "nothing was committed" in refused
    assert bound.run("status", "--json").json[0]["holds"] == []


def test_a_window_is_shown_with_its_end_and_can_be_overridden(operator: Operator, tmp_path: Path) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=10)
    config = tmp_path / "config.yaml"
    config.write_text(
        "policy:\n  windows:\n"
        f'    - {{kind: deny, schedule: "{begun.minute} {begun.hour} {begun.day} {begun.month} *", duration: 1h}}\n'
    )
    bound = replace(operator, config=config)
    text = (operator.folder / "workflows/roundtrip.yaml").read_text()
    operator.write({"workflows/roundtrip.yaml": text.replace('/out"}', '/out", rotate_seconds: 60}')})
    operator.commit("Rotate")
    held = f"local: new versions are held until {begun + timedelta(hours=1):%Y-%m-%dT%H:%M}:00Z by the window `deny"
    assert held in bound.run("status").stdout
    assert held in bound.run("plan", "HEAD").stdout
    refused = bound.run("apply", expect=1).stderr
    assert held in refused
    assert "--despite-window" in refused
    assert len(bound.run("history", "--json").json) == 1
    bound.run("reconcile", expect=4)  # what is deployed is looked after all the same
    bound.run("apply", "--despite-window", expect=4)
    assert len(bound.run("history", "--json").json) == 2
