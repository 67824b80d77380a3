"""`gitopsd plan` with tests in the repository: which of their events come out differently."""

from pathlib import Path

from gitopsd.daemon.pull_requests.exchange import Question
from gitopsd.daemon.pull_requests.process import ask_bounded
from gitopsd.repo.repository import open_at
from tests.cli.trial import FILES
from tests.operator import AWAY_FLEET, Operator

TESTS = """\
tests:
  few pieces are left out: {module: cleanse, params: {floor: 2}, in: {records: [{qty: 3}]}, out: {good: {count: 1}}}
  orders come through: {workflow: orders, in: {raw: [{qty: 3}]}, out: {shouted: {count: 1}}}
  of something that is new: {workflow: orders, step: second, in: {default: [1]}, out: {default: [1]}}
"""


def deployed(operator: Operator) -> Operator:
    """As committed to the artifact branch; its only worker is away."""
    workflow = FILES["workflows/orders.yaml"].replace('nats, servers: ["nats://192.0.2.1:4222"]', "worker")
    operator.write(
        {**FILES, "workflows/orders.yaml": workflow, "tests/orders.yaml": TESTS, "fleets/local.yaml": AWAY_FLEET}
    )
    operator.commit("Orders")
    operator.run("apply", expect=4)
    return operator


def change_cleanse(operator: Operator, old: str, new: str) -> None:
    module = operator.folder / "modules/cleanse.yaml"
    assert old in module.read_text()
    module.write_text(module.read_text().replace(old, new))


def test_a_plan_shows_which_events_come_out_differently(operator: Operator, tmp_path: Path) -> None:
    """The program behind the transform is not run."""
    ran = tmp_path / "ran"
    deployed(operator).write({"files/loud.py": f"open({str(ran)!r}, 'w')\n"})
    assert operator.run("plan", "--json").json["events"] == {
        "differences": [], "compared": 2, "unknown": "",
    }  # fmt: skip
    change_cleanse(operator, "remove: [debug]", "remove: [debug, qty]")
    text = operator.run("plan").stdout
    assert "Events of tests come out differently:\n  `good` of modules/cleanse, tests/orders.yaml:2:3: few" in text
    assert '      -{"qty": 3, "worker": "local-1"}\n      +{"worker": "local-1"}\n' in text
    assert "`ok` of orders, tests/orders.yaml:3:3: orders come through" in text
    assert "`shouted`" not in text
    markdown = operator.run("plan", "--format", "markdown").stdout
    assert "**Events of tests that come out differently**" in markdown
    assert '```diff\n--- deployed\n+++ this version\n@@ -1 +1 @@\n-{"qty": 3, "worker": "local-1"}' in markdown
    assert not ran.exists()


def test_a_pull_request_shows_them_and_runs_none_of_its_programs(operator: Operator, tmp_path: Path) -> None:
    """In the process that plans strangers' pull requests: with the tests that the merge would have."""
    ran = tmp_path / "ran"
    base = deployed(operator).git("rev-parse", "HEAD")
    program = f"open({str(ran)!r}, 'w')\n"
    operator.write({"files/loud.py": program, "tests/orders.yaml": TESTS.replace("qty: 3", "qty: 7")})
    change_cleanse(operator, "remove: [debug]", "remove: [debug, qty]")
    head = operator.commit("Less")
    at = open_at(operator.folder)
    question = Question(
        git_dir=str(at.git_dir), identity=at.identity, branch_prefix=at.branch_prefix, head=head, base=base
    )  # fmt: skip
    answer = ask_bounded(question)
    assert answer.problem == ""
    (outcome,) = answer.outcomes
    assert '-{"qty": 7, "worker": "local-1"}\n+{"worker": "local-1"}' in outcome.comment
    assert not ran.exists()


def test_the_digest_of_a_plan_does_not_follow_from_tests(operator: Operator) -> None:
    change_cleanse(deployed(operator), "remove: [debug]", "remove: [debug, qty]")
    before = operator.run("plan", "--json").json
    operator.write({"tests/orders.yaml": TESTS.replace("{qty: 3}", "{qty: 4}")})
    after = operator.run("plan", "--json").json
    assert before["digest"] == after["digest"]
    assert before["events"] != after["events"]


def test_nothing_is_said_where_no_test_is_about_what_changes(operator: Operator) -> None:
    deployed(operator)
    template = operator.folder / "workflows/roundtrip.yaml"
    template.write_text(template.read_text().replace("mode: tail", "mode: once"))
    ran = operator.run("plan")
    assert "Plan: " in ran.stdout
    assert "vents of" not in ran.stdout
