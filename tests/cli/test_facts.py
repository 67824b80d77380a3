"""What a probe finds becomes known to planning by being committed."""

import json

from tests.operator import Operator

BLUEPRINT = """\
blueprint: notify
requires: {{features: ["{required}"]}}
in: {{default: {{speaks: [stdio]}}}}
job: {{exec: [cat]}}
"""
WORKFLOW = """\
workflow: alerts
steps:
  collect: {use: std/read-files, with: {glob: /srv/alerts/*.jsonl}, out: raw, place: {group: local}}
  notify: {use: blueprints/notify, in: raw, place: {group: local}}
channels: {raw: {transport: worker}}
"""


def require(operator: Operator, feature: str) -> None:
    operator.write({"workflows/alerts.yaml": WORKFLOW, "blueprints/notify.yaml": BLUEPRINT.format(required=feature)})
    operator.commit(f"Require {feature}")


def facts(operator: Operator) -> dict[str, dict[str, str]]:
    record = json.loads(operator.git("show", "rendered/local:facts.json"))
    return {name: known["features"] for name, known in record["workers"].items()}


def test_a_feature_counts_once_it_was_probed_and_committed(operator: Operator) -> None:
    require(operator, "perl>=5,<100")
    assert "nobody probed it: `gitopsd worker probe --commit`" in operator.run("plan", expect=1).stderr
    ran = operator.run("worker", "probe", "--commit")
    assert "perl" in ran.stderr
    assert facts(operator)["local-1"].keys() >= {"perl", "python3"}
    operator.run("plan")
    require(operator, "perl>=100")
    assert "it has `perl` in version" in operator.run("plan", expect=1).stderr
    require(operator, "no-such-thing")
    assert "a probe found none" in operator.run("plan", expect=1).stderr


def test_probing_again_commits_nothing_and_a_deployment_keeps_what_was_found(operator: Operator) -> None:
    operator.run("worker", "probe", "--commit")
    first = operator.git("rev-parse", "rendered/local")
    assert "nothing to commit" in operator.run("worker", "probe", "--commit").stderr
    assert operator.git("rev-parse", "rendered/local") == first
    for command in ("status", "history", "workloads", "plan"):
        operator.run(command)
    found = facts(operator)
    operator.run("apply")
    assert facts(operator) == found
    assert operator.git("rev-list", "--max-parents=0", "rendered/local") == first
    assert [one["deployment"] for one in operator.run("history", "--json").json] == [1]


def test_workers_that_left_are_dropped_and_those_that_do_not_answer_keep_what_was_known(operator: Operator) -> None:
    operator.run("apply")
    operator.git("checkout", "--quiet", "rendered/local")
    known = {name: {"features": {"jq": "0.1"}} for name in ("gone-1", "away-1", "local-1")}
    operator.write({"facts.json": json.dumps({"format": 1, "workers": known})})
    operator.commit("What was known")
    operator.git("checkout", "--quiet", "main")
    fleet = operator.folder / "fleets/local.yaml"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN"
    fleet.write_text(
        fleet.read_text() + f'  far:\n    workers: {{away-1: {{address: 127.0.0.1, port: 1, host_key: "{key}"}}}}\n'
    )
    operator.commit("Add a worker that is away")
    ran = operator.run("worker", "probe", "--commit", expect=1)
    assert "facts of gone-1: left the fleet" in ran.stderr
    assert facts(operator).keys() == {"away-1", "local-1"}
    assert facts(operator)["away-1"] == {"jq": "0.1"}
    assert facts(operator)["local-1"]["python3"]
    message = operator.git("log", "-1", "--format=%B", "rendered/local")
    assert message.startswith("Facts of gone-1, local-1\n")
    assert "gone-1: left the fleet\n" in message


def test_facts_that_cannot_be_read_are_named(operator: Operator) -> None:
    operator.run("worker", "probe", "--commit")
    operator.git("checkout", "--quiet", "rendered/local")
    operator.write({"facts.json": '{"workers": []}'})
    operator.commit("Break the facts")
    operator.git("checkout", "--quiet", "main")
    assert "facts.json on the artifact branch can't be read" in operator.run("plan", expect=1).stderr
