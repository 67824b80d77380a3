"""`gitopsd check --test`: the events of tests/*.yaml through real processes, and what differs when one fails."""

import json

from tests.cli.trial import with_orders
from tests.operator import Operator

PASSING = """\
tests:
  few pieces are left out:
    workflow: orders
    in: {raw: [{qty: 1}, {qty: 3}]}
    out:
      ok: [{worker: local-1, qty: 3.0}]
      shouted: [{QTY: 3, WORKER: LOCAL-1}]
  the reader reads a file of the tests:
    workflow: orders
    params: {floor: 0}
    in: {collect: {file: data/orders.csv}}
    out: {raw: {count: 2}, ok: {contains: [{id: "2"}]}}
  what is no JSON goes to bad:
    workflow: orders
    step: cleanse
    in: {records: {lines: ["{"]}}
    out: {good: [], bad: {contains: [{event: "{"}]}}
"""
FAILING = """\
tests:
  fails:
    module: cleanse
    params: {floor: 2}
    in: {records: [{qty: 3}, {qty: 4}]}
    out:
      good: [{qty: 3, worker: local-1}]
"""


def test_tests_that_pass_are_counted(operator: Operator) -> None:
    with_orders(operator).write({"tests/orders.yaml": PASSING, "tests/data/orders.csv": "id,qty\n1,7\n2,1\n"})
    assert "4 tests: 4 passed" in operator.run("check", "--test").stdout  # with the template's own
    assert "`--test` runs 4 tests" in operator.run("check").stdout


def test_of_a_test_that_fails_the_difference_is_shown_at_its_place(operator: Operator) -> None:
    with_orders(operator).write({"tests/cleanse.yaml": FAILING})
    ran = operator.run("check", "--test", expect=1)
    assert ran.stderr == (
        "error[test-failed]: the test `fails`: other events came to `good` than expected\n"
        "  --> tests/cleanse.yaml:7:7\n"
        "    |\n"
        "  7 |       good: [{qty: 3, worker: local-1}]\n"
        "    |       ^^^^\n"
        "    --- expected\n"
        "    +++ came\n"
        "    @@ -1 +1,2 @@\n"
        '     {"qty": 3, "worker": "local-1"}\n'
        '    +{"qty": 4, "worker": "local-1"}\n'
        "\n"
    )
    assert "2 tests: 1 passed, 1 failed" in ran.stdout


def test_programs_are_told_of_failures_as_of_errors(operator: Operator) -> None:
    with_orders(operator).write({"tests/cleanse.yaml": FAILING})
    (failed,) = json.loads(operator.run("check", "--test", "--json", expect=1).stdout)
    assert (failed["code"], failed["location"]["path"], failed["location"]["line"]) == (
        "test-failed", "tests/cleanse.yaml", 7,
    )  # fmt: skip
    assert '+{"qty": 4, "worker": "local-1"}' in failed["message"]
    annotation = operator.run("check", "--test", "--format", "github", expect=1).stdout
    assert annotation.startswith("::error file=tests/cleanse.yaml,line=7,")


def test_a_test_that_does_not_end_fails_and_the_others_go_on(operator: Operator) -> None:
    test = "{workflow: orders, step: loud, in: {default: [1]}, out: {default: [1]}}"
    with_orders(operator).write({
        "files/loud.py": "import time\ntime.sleep(600)\n",
        "tests/loud.yaml": f"tests:\n  silence: {test}\n",
    })  # fmt: skip
    ran = operator.run("check", "--test", "--timeout", "3", expect=1)
    assert "the test `silence` didn't come to its end: `loud`: it took longer than 3 s" in ran.stderr
    assert "2 tests: 1 passed, 1 failed" in ran.stdout


def test_a_wrong_test_is_an_error_and_keeps_nothing_from_being_planned(operator: Operator) -> None:
    with_orders(operator).write({"tests/cleanse.yaml": FAILING.replace("module: cleanse", "module: clense")})
    ran = operator.run("check", expect=1)
    assert "error[unknown-module]" in ran.stderr
    assert "did you mean `cleanse`?" in ran.stderr
    operator.run("plan")


def test_tests_of_a_version_come_from_that_version(operator: Operator) -> None:
    with_orders(operator).write({"tests/cleanse.yaml": FAILING})
    operator.commit("A test")
    operator.write({"tests/cleanse.yaml": FAILING.replace("{qty: 4}", "{qty: 1}")})
    assert "2 tests: 2 passed" in operator.run("check", "--test").stdout
    assert "1 failed" in operator.run("check", "--test", "HEAD", expect=1).stdout


def test_tests_are_no_part_of_what_is_planned(operator: Operator) -> None:
    before = operator.run("plan", "--json").json["inputs"]["source_tree"]
    operator.write({"tests/cleanse.yaml": "tests: [no, tests]\n"})
    assert operator.run("plan", "--json").json["inputs"]["source_tree"] == before


def test_a_test_counts_for_the_environment_that_it_names(operator: Operator) -> None:
    with_orders(operator)
    environments = operator.folder / "gitopsd.yaml"
    other = "  strict: {fleet: fleets/local.yaml, params: {roundtrip: {data: /srv/r}, orders: {floor: 5}}}\n"
    environments.write_text(environments.read_text() + other)
    test = "{%sworkflow: orders, step: cleanse, in: {records: [{qty: 3}]}, out: {good: {count: %s}}}"
    strict, local = test % ("environment: strict, ", 0), test % ("environment: local, ", 1)
    operator.write({"tests/both.yaml": f"tests:\n  strict: {strict}\n  local: {local}\n"})
    assert "3 tests: 3 passed" in operator.run("check", "--test").stdout
    assert "2 tests: 2 passed" in operator.run("--env", "strict", "check", "--test").stdout
