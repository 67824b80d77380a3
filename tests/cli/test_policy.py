"""The operator's policy is enforced by whoever applies, whatever the repository and the artifact branch say."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operator import Operator

BLUEPRINT = """\
blueprint: notify
in: {{default: {{speaks: [stdio]}}}}
{more}
job:
  exec: [cat]
"""
WORKFLOW = """\
workflow: alerts
steps:
  collect: {use: std/read-files, with: {glob: /etc/os-release, format: lines}, out: raw, place: {group: local}}
  notify: {use: blueprints/notify, in: raw, place: {group: local}}
channels: {raw: {transport: worker}}
"""


def governed(operator: Operator, configuration: str) -> Operator:
    """The same person with this configuration."""
    path = operator.home / "config.yaml"
    path.write_text(configuration)
    return replace(operator, config=path)


def commit_blueprint(operator: Operator, more: str) -> None:
    operator.write({"workflows/alerts.yaml": WORKFLOW, "blueprints/notify.yaml": BLUEPRINT.format(more=more)})
    operator.commit("Notify")


def published(operator: Operator) -> object:
    return json.loads(operator.git("show", "rendered/local:policy.json"))


def test_what_planning_needs_is_published_with_the_deployment_and_counts_for_others(operator: Operator) -> None:
    governed(operator, "policy: {max_jobs: 3}\nsecrets: {token: {env: PRIVATE_NAME}}").run("apply")
    assert published(operator) == {"max_jobs": 3, "secrets": {"token": {}}, "users": ["gitopsd-job"]}
    commit_blueprint(operator, "")
    ran = operator.run("plan", expect=1)  # without a configuration
    assert "error[too-many-jobs-for-policy]" in ran.stderr
    governed(operator, "policy: {}").run("apply")
    assert published(operator) == {"users": ["gitopsd-job"]}


def test_a_change_of_the_policy_alone_is_no_deployment(operator: Operator) -> None:
    operator.run("apply")
    governed(operator, "policy: {max_jobs: 50}").run("apply")
    assert published(operator) == {"max_jobs": 50, "users": ["gitopsd-job"]}
    assert [one["deployment"] for one in operator.run("history", "--json").json] == [1]
    head = operator.git("rev-parse", "rendered/local")
    operator.run("apply")
    assert operator.git("rev-parse", "rendered/local") == head


def test_a_branch_that_allows_more_than_the_operator_does_not_help(operator: Operator) -> None:
    operator.run("apply")
    operator.git("checkout", "--quiet", "rendered/local")
    operator.write({"policy.json": json.dumps({"max_jobs": 100, "users": ["root", "gitopsd-job"]})})
    operator.commit("Allow everything", "policy.json")
    operator.git("checkout", "--quiet", "main")
    head = operator.git("rev-parse", "rendered/local")
    ran = governed(operator, "policy: {max_jobs: 1}").run("apply", expect=1)
    assert "error[too-many-jobs-for-policy]" in ran.stderr
    assert operator.git("rev-parse", "rendered/local") == head
    governed(operator, "policy: {max_jobs: 2}").run("apply")
    assert published(operator) == {"max_jobs": 2, "users": ["gitopsd-job"]}


def test_a_plan_made_by_another_policy_is_stale(operator: Operator, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.json")
    operator.run("plan", "--out", plan)
    ran = governed(operator, "policy: {max_jobs: 50}").run("apply", plan, expect=3)
    assert "the policy" in ran.stderr
    assert not operator.git("branch", "--list", "rendered/local")


def test_a_policy_that_others_committed_and_that_cannot_be_read_is_named(operator: Operator) -> None:
    operator.run("apply")
    operator.git("checkout", "--quiet", "rendered/local")
    operator.write({"policy.json": '{"max_jobs": "many"}', "facts.json": "{}"})
    operator.commit("Break the policy", "policy.json", "facts.json")
    operator.git("checkout", "--quiet", "main")
    assert "policy.json on the artifact branch can't be read" in operator.run("plan", expect=1).stderr
    governed(operator, "policy: {max_jobs: 50}").run("apply")  # one's own replaces it
    operator.run("plan")


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("{groups: [core]}", "group-not-allowed"),
        ("{entitlements: []}", "missing-entitlement"),
        ("{edition: community}", "missing-entitlement"),
        ("{unit_settings: []}", "setting-not-allowed"),
    ],
)
def test_what_the_policy_forbids_is_not_applied(operator: Operator, policy: str, code: str) -> None:
    commit_blueprint(operator, "requires: {entitlements: [alerting]}")
    path = operator.folder / "blueprints/notify.yaml"
    path.write_text(path.read_text() + "  unit: {Nice: 5}\n")
    operator.commit("Be nice")
    ran = governed(operator, f"policy: {policy}").run("apply", expect=1)
    assert f"error[{code}]" in ran.stderr
    assert not operator.git("branch", "--list", "rendered/local")


@pytest.mark.parametrize(
    "text",
    [
        "secrets: {alert_token: hunter2}\n",
        "secrets:\n  alert_token: hunter2\n",
        "secrets:\n  alert_token:\n    - hunter2\n",
        "secrets:\n  alert_token: {env: X, value: hunter2}\npolicy: {max_delete: 20}\n",
        "secrets:\n  alert_token: [hunter2\n",
    ],
)
def test_a_secret_that_was_written_into_the_configuration_is_not_repeated(
    operator: Operator, tmp_path: Path, text: str
) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text(text)
    ran = operator.run("--config", str(configuration), "plan", expect=1)
    assert f"{configuration}:" in ran.stderr
    assert "hunter2" not in ran.stderr + ran.stdout


def test_a_worker_that_the_artifact_branch_puts_elsewhere_is_not_reached(operator: Operator) -> None:
    operator.run("apply")
    held = governed(operator, "policy: {local_workers: false}")
    ran = held.run("reconcile", "--now", expect=1)
    assert "doesn't let this machine be a worker" in ran.stdout
    assert "Nothing was sent" in ran.stdout


def test_a_hint_says_which_file_the_operators_configuration_is(operator: Operator) -> None:
    commit_blueprint(operator, "secrets: [token]")
    operator.run("check")  # nothing is said of policy where there is none
    user = operator.home / ".config" / "gitopsd" / "config.yaml"
    would_be = Path("/etc/gitopsd/config.yaml") if os.geteuid() == 0 else user
    assert f"added to the operator's configuration, {would_be}" in operator.run("plan", expect=1).stderr
    person = governed(operator, "secrets: {}")
    for command in ("check", "plan"):
        said = person.run(command, expect=1).stderr
        assert f"added to the operator's configuration, {person.config}" in said
