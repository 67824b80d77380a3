"""`show` and `diff`, on deployments to the built-in worker."""

import pytest

from tests.operator import Operator, away_operator

WORKFLOW = "workflows/roundtrip.yaml"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Three deployments without any worker: the second renders one job otherwise, the third is the first again."""
    operator = away_operator(tmp_path_factory.mktemp("show"))
    text = (operator.folder / WORKFLOW).read_text()
    operator.write({WORKFLOW: text.replace('/out"}', '/out", rotate_seconds: 60}')})
    operator.commit("Rotate\n\x1b[31mthe files")
    operator.run("apply", expect=4)
    operator.write({WORKFLOW: text})
    operator.commit("Don't rotate")
    operator.run("apply", expect=4)
    return operator


def test_a_deployment_is_shown_with_who_why_outcome_and_changes(deployed: Operator) -> None:
    shown = deployed.run("show", "2").stdout
    assert "deployment 2 of local: Rotate" in shown
    assert f"source    {deployed.git('rev-parse', 'HEAD^')}" in shown
    assert "by        Operator <operator@example.invalid>, deployed by gitopsd <" in shown
    assert "1 unreachable" in shown
    assert "not well at 2" in shown
    assert "local-1: no connection to 127.0.0.1:9" in shown
    assert "~ update roundtrip.deliver.0: restarts" in shown
    assert '+      "rotate_seconds": 60' in shown
    assert "roundtrip.collect.0" not in shown


def test_a_deployment_is_named_by_its_commit_too_and_has_all_of_its_record_as_json(deployed: Operator) -> None:
    commit = deployed.git("rev-parse", "rendered/local~1")
    record = deployed.run("show", commit[:9], "--json").json
    assert (record["deployment"], record["commit"], record["trigger"]) == (2, commit, "manual")
    (rollout,) = record["rollouts"]
    assert rollout["errors"].keys() == {"local-1"}
    (worker,) = record["workers"]
    assert (worker["worker"], worker["outcome"], worker["at"]) == ("local-1", "failed", rollout["finished"])
    assert "no connection" in worker["error"]
    assert [one["subject"] for one in record["brings"]["commits"]] == ["Rotate"]
    assert (record["author"], record["returns"]) == ("Operator <operator@example.invalid>", {})
    assert deployed.run("show", "3", "--json").json["returns"] == {"deployment": 1}
    assert {change["job"]: change["action"] for change in record["changes"]["changes"]} == {
        "roundtrip.collect.0": "unchanged",
        "roundtrip.deliver.0": "update",
    }


def test_the_first_deployment_creates_everything(deployed: Operator) -> None:
    record = deployed.run("show", "1", "--json").json
    assert record["changes"]["before"] == 0
    assert {change["action"] for change in record["changes"]["changes"]} == {"create"}


def test_two_deployments_are_compared_in_the_order_in_which_they_are_named(deployed: Operator) -> None:
    assert '+      "rotate_seconds": 60' in deployed.run("diff", "1", "2").stdout
    assert '-      "rotate_seconds": 60' in deployed.run("diff", "2", "1").stdout
    assert "have the same releases" in deployed.run("diff", "1", "3").stdout
    assert deployed.run("diff", "1", "3", "--json").json["changed_workers"] == []


def test_a_deployment_that_is_not_there_is_told_where_they_are_listed(deployed: Operator) -> None:
    ran = deployed.run("diff", "1", "9", expect=1)
    assert "no deployment '9'" in ran.stderr
    assert "gitopsd history" in ran.stderr


def test_before_the_first_deployment_there_is_nothing_to_show(operator: Operator) -> None:
    assert "nothing is deployed" in operator.run("show", "1", expect=1).stderr
