"""`plan --out FILE` and `apply FILE`: exactly the plan that was shown, or nothing."""

import json
from pathlib import Path
from typing import Any

from tests.operator import Operator


def _write(operator: Operator, plan: dict[str, Any]) -> None:
    (operator.home / "plan.json").write_text(json.dumps(plan))


def _planned(operator: Operator) -> dict[str, Any]:
    operator.run("plan", "HEAD", "--out", "../plan.json")
    return dict(json.loads((operator.home / "plan.json").read_text()))


def _deployed(operator: Operator) -> str:
    return operator.git("branch", "--list", "rendered/local")


def test_a_plan_that_was_edited_is_refused(operator: Operator) -> None:
    plan = _planned(operator)
    _write(operator, {**plan, "changes": plan["changes"][:1]})
    ran = operator.run("apply", "../plan.json", expect=3)
    assert "the plan was edited after it was written" in ran.stderr
    assert not _deployed(operator)


def test_a_plan_of_another_version_of_gitopsd_names_it(operator: Operator) -> None:
    plan = _planned(operator)
    _write(operator, {**plan, "digest": "0" * 40, "inputs": {**plan["inputs"], "renderer": "0.0.1"}})
    assert "the version of gitopsd (0.0.1 then, " in operator.run("apply", "../plan.json", expect=3).stderr


def test_a_plan_of_edits_that_are_not_committed_cannot_be_applied(operator: Operator) -> None:
    path = operator.folder / "workflows/roundtrip.yaml"
    path.write_text(path.read_text() + "# an edit\n")
    operator.run("plan", "--out", "../plan.json")
    ran = operator.run("apply", "../plan.json", expect=64)
    assert "uncommitted edits" in ran.stderr


def test_a_file_that_is_no_plan_or_one_of_another_format_is_refused(operator: Operator) -> None:
    plan = _planned(operator)
    _write(operator, {**plan, "format": 2, "changes": "otherwise"})
    assert "a plan of format 2" in operator.run("apply", "../plan.json", expect=64).stderr
    for content in (b"", b"[]", b"{}", b"\xff\xfe", b'{"format": 1}'):
        (operator.home / "plan.json").write_bytes(content)
        assert "is not a plan" in operator.run("apply", "../plan.json", expect=64).stderr
    for path in ("../other.json", "../"):
        assert f"no plan at {path}" in operator.run("apply", path, expect=64).stderr


def test_a_plan_for_another_environment_is_stale(operator: Operator) -> None:
    path = operator.folder / "gitopsd.yaml"
    lines = path.read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("  local:"))
    end = next((number for number, line in enumerate(lines) if number > start and line[:3].strip()), len(lines))
    more = ["  other:" + lines[start].removeprefix("  local:"), *lines[start + 1 : end]]
    path.write_text("".join([*lines[:end], *more, *lines[end:]]))
    operator.commit("Another environment")
    operator.run("--env", "local", "plan", "HEAD", "--out", "../plan.json")
    ran = operator.run("--env", "other", "apply", "../plan.json", expect=3)
    assert "the environment (local then, other now)" in ran.stderr
    assert not operator.git("branch", "--list", "rendered/*")


def test_a_plan_that_deletes_much_is_held_until_it_is_confirmed(operator: Operator) -> None:
    operator.run("apply")
    head = operator.git("rev-parse", "rendered/local")
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
    operator.write({"gitopsd.yaml": "environments:\n  local: {fleet: fleets/local.yaml}\n"})
    operator.commit("Remove it")
    plan = _planned(operator)
    assert {change["action"] for change in plan["changes"]} == {"held"}
    assert "! held roundtrip.collect.0" in operator.run("plan").stdout
    assert "**Held:**" in operator.run("plan", "--format", "markdown").stdout
    for command in (("apply",), ("apply", "../plan.json")):
        ran = operator.run(*command, expect=1)
        assert "the plan is held: it deletes 2 of 2 deployed jobs (100 %" in ran.stderr
        assert "gitopsd apply --confirm-deletes" in ran.stderr
        assert operator.git("rev-parse", "rendered/local") == head
    assert {one["state"] for one in operator.run("workloads", "--json").json} == {"running"}
    applied = operator.run("apply", "../plan.json", "--confirm-deletes", "--json").json
    assert applied["plan_digest"] == plan["digest"]
    assert {one["state"] for one in operator.run("workloads", "--json").json} <= {"draining", "drained"}


def test_a_plan_under_another_policy_is_stale_and_the_policy_is_the_operators(
    operator: Operator, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("policy: {max_delete: 10%}\n")
    strict = Operator(folder=operator.folder, home=operator.home, config=config)
    _planned(strict)
    config.write_text("policy: {max_delete: 100%}\n")
    ran = strict.run("apply", "../plan.json", expect=3)
    assert "the policy (" in ran.stderr
    assert not _deployed(operator)
