"""A new gitopsd that renders what is deployed to something else: a deployment of its own, before any new version."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitopsd import __version__
from tests.operator import Operator, away_operator
from tests.versions import another_version

WORKFLOW = "workflows/roundtrip.yaml"
RUNTIME = {"runner/lines.py": "# read by every job\n"}


@pytest.fixture
def away(tmp_path: Path) -> Operator:
    """Deployed once, to a worker that is never there."""
    return away_operator(tmp_path)


def rotate(operator: Operator, seconds: int) -> None:
    """Commits a change of one job, `roundtrip.deliver.0`."""
    text = (operator.folder / WORKFLOW).read_text().splitlines()
    changed = [
        f'    with: {{path: "${{{{ params.data }}}}/out", rotate_seconds: {seconds}}}' if "/out" in one else one
        for one in text
    ]
    operator.write({WORKFLOW: "\n".join(changed) + "\n"})
    operator.commit(f"Rotate every {seconds} s")


def changed(operator: Operator, deployment: int) -> dict[str, str]:
    """Job -> reason, of those that the deployment changed."""
    changes: list[dict[str, Any]] = operator.run("show", str(deployment), "--json").json["changes"]["changes"]
    return {change["job"]: change["reason"] for change in changes if change["action"] != "unchanged"}


def test_an_upgrade_is_deployed_by_itself_before_the_new_version(away: Operator) -> None:
    first = away.run("history", "--json").json[0]
    rotate(away, 60)
    upgraded = another_version(away, "9.9.9", RUNTIME)
    said = upgraded.run("plan", "HEAD").stdout
    heading = f"This is gitopsd's upgrade from {__version__} to 9.9.9: 2 jobs would restart."
    assert said.startswith(heading)
    before, after = said.split("After it comes this version:")
    assert before.count("~ update") == 2
    assert (after.count("~ update"), "update roundtrip.deliver.0" in after) == (1, True)
    plan = upgraded.run("plan", "HEAD", "--json").json
    assert [change["job"] for change in plan["changes"] if change["action"] == "update"] == ["roundtrip.deliver.0"]
    assert "upgrade from" in upgraded.run("plan", "HEAD", "--format", "markdown").stdout

    ran = upgraded.run("apply", expect=4)
    assert f"This is gitopsd's upgrade from {__version__} to 9.9.9: 2 jobs would restart; it comes first" in ran.stderr
    newest, upgrade, _ = upgraded.run("history", "--json").json
    assert (newest["trigger"], upgrade["trigger"]) == ("manual", "upgrade")
    assert (upgrade["source_commit"], upgrade["renderer"]) == (first["source_commit"], "9.9.9")
    assert upgrade["subject"] == f"what is deployed, by gitopsd 9.9.9 instead of {__version__}"
    assert len(changed(upgraded, 2)) == 2
    assert all("the runner that comes with gitopsd" in reason for reason in changed(upgraded, 2).values())
    assert changed(upgraded, 3).keys() == {"roundtrip.deliver.0"}
    assert "upgrade" not in upgraded.run("plan", "HEAD").stdout


def test_an_upgrade_alone_is_one_deployment(away: Operator) -> None:
    upgraded = another_version(away, "9.9.9", RUNTIME)
    assert upgraded.run("plan", "HEAD", "--detailed-exitcode", expect=2).stdout
    ran = upgraded.run("apply", "--json", expect=4)
    assert ran.json["deployment"] == 2
    upgraded.run("apply", expect=4)
    assert [one["trigger"] for one in upgraded.run("history", "--json").json] == ["upgrade", "manual"]


def test_an_upgrade_that_changes_no_release_deploys_nothing(away: Operator) -> None:
    upgraded = another_version(away, "9.9.9")
    head = away.git("rev-parse", "rendered/local")
    assert "upgrade" not in upgraded.run("plan", "HEAD").stdout
    upgraded.run("apply", expect=4)
    assert away.git("rev-parse", "rendered/local") == head


def test_a_plan_that_was_shown_is_applied_after_the_upgrade_that_it_shows(away: Operator, tmp_path: Path) -> None:
    rotate(away, 60)
    upgraded = another_version(away, "9.9.9", RUNTIME)
    upgraded.run("plan", "HEAD", "--out", str(tmp_path / "plan.json"))
    upgraded.run("apply", str(tmp_path / "plan.json"), expect=4)
    assert changed(upgraded, 3).keys() == {"roundtrip.deliver.0"}
    upgraded.run("apply", str(tmp_path / "plan.json"), expect=3)


def test_policy_may_hold_an_upgrade_until_somebody_asks_for_it(away: Operator, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("policy: {upgrades: hold}\n")
    rotate(away, 60)
    upgraded = replace(another_version(away, "9.9.9", RUNTIME), config=config)
    head = away.git("rev-parse", "rendered/local")
    assert "Held: `policy.upgrades` is `hold`" in upgraded.run("plan", "HEAD").stdout
    refused = upgraded.run("apply", expect=1).stderr
    assert "and that is held by policy" in refused
    assert "`gitopsd apply --upgrade`" in refused
    assert away.git("rev-parse", "rendered/local") == head
    upgraded.run("apply", "--upgrade", expect=4)
    assert [one["trigger"] for one in upgraded.run("history", "--json").json] == ["manual", "upgrade", "manual"]


def test_where_what_is_deployed_compiles_no_more_the_upgrade_comes_with_the_new_version(
    away: Operator, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("policy: {groups: [other]}\n")
    for path in ("fleets/local.yaml", WORKFLOW):
        text = (away.folder / path).read_text()
        away.write({path: text.replace("  local:\n", "  other:\n").replace("group: local", "group: other")})
    away.commit("Another group")
    upgraded = replace(another_version(away, "9.9.9", RUNTIME), config=config)
    said = upgraded.run("plan", "HEAD").stdout
    assert "comes with this plan: what is deployed doesn't compile any more" in said
    upgraded.run("apply", expect=4)
    assert [one["trigger"] for one in upgraded.run("history", "--json").json] == ["manual", "manual"]


def test_after_an_upgrade_that_fails_no_new_version_follows_and_no_workflow_is_blamed(operator: Operator) -> None:
    operator.run("apply")
    rotate(operator, 60)
    upgraded = another_version(operator, "9.9.9", {"runner/main.py": "\nraise SystemExit('broken')\n"})
    ran = upgraded.run("apply", expect=1)
    assert "gitopsd's upgrade did not end well" in ran.stderr
    assert [one["trigger"] for one in upgraded.run("history", "--json").json] == ["upgrade", "manual"]
    assert upgraded.run("quarantine", "list", "--json").json == {}
