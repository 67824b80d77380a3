"""One clear message each, the designed exit code, nothing written, no traceback."""

import json
import socket
from pathlib import Path

import pytest

from tests.operator import Operator

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN"


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path) -> None:
    ran = Operator(folder=tmp_path, home=tmp_path).run("plan", expect=1)
    assert str(tmp_path) in ran.stderr
    assert "hint:" in ran.stderr


def test_an_empty_repository_is_told_to_commit(tmp_path: Path) -> None:
    operator = Operator(folder=tmp_path, home=tmp_path)
    operator.git("init", "--quiet")
    ran = operator.run("plan", expect=1)
    assert "no commit yet" in ran.stderr


def test_a_repository_without_environments_is_told_how_to_start(tmp_path: Path) -> None:
    operator = Operator(folder=tmp_path, home=tmp_path)
    operator.git("init", "--quiet")
    operator.write({"README": "nothing here"})
    operator.commit("First")
    ran = operator.run("check", expect=1)
    assert "error[no-environments]" in ran.stderr
    assert "gitopsd init" in ran.stderr


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(operator: Operator) -> None:
    ran = operator.run("aply", expect=64)
    assert "did you mean `apply`?" in ran.stderr


def test_an_unknown_option_is_a_usage_error(operator: Operator) -> None:
    operator.run("plan", "--nope", expect=64)


def test_init_refuses_a_folder_with_something_in_it(operator: Operator) -> None:
    ran = operator.run("init", str(operator.folder), expect=1)
    assert "not an empty directory" in ran.stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("in: collected", "in: colected"), "unknown-channel"),
        (("std/write-files", "std/write-file"), "unknown-blueprint"),
        (("{group: local}", "{group: locl}"), "unknown-group"),
        (("mode: tail", "mode: tial"), "wrong-type"),
        (("    out: collected", "    out: collected\n    out: collected"), "duplicate-key"),
        (("    out: collected", "    outt: collected"), "unknown-key"),
    ],
)
def test_a_mistake_is_shown_with_its_place_and_nothing_is_written(
    operator: Operator, change: tuple[str, str], code: str
) -> None:
    path = "workflows/roundtrip.yaml"
    text = (operator.folder / path).read_text()
    assert change[0] in text
    operator.write({path: text.replace(*change)})
    for command in ("check", "plan"):
        ran = operator.run(command, expect=1)
        assert f"error[{code}]" in ran.stderr
        assert f"--> {path}:" in ran.stderr
    operator.commit("A mistake")
    operator.run("apply", expect=1)
    assert operator.git("branch", "--list", "rendered/local") == ""


def test_all_mistakes_of_a_pass_come_at_once_also_as_json(operator: Operator) -> None:
    path = "workflows/roundtrip.yaml"
    text = (operator.folder / path).read_text()
    operator.write(
        {path: text.replace("    in: collected", "    inn: collected").replace("mode: tail", "mode: 3, mood: x")}
    )
    operator.write({"fleets/local.yaml": "groups: {local: {worker: {}}}\n"})
    ran = operator.run("check", "--json", expect=1)
    codes = {(one["code"], one["location"]["path"]) for one in ran.json}
    assert {("unknown-key", path), ("unknown-key", "fleets/local.yaml")} <= codes


def test_a_link_in_the_repository_is_refused(operator: Operator) -> None:
    (operator.folder / "files").mkdir()
    (operator.folder / "files" / "secret").symlink_to("/etc/passwd")
    operator.commit("A link")
    ran = operator.run("plan", expect=1)
    assert "error[symlink]" in ran.stderr
    assert "files/secret" in ran.stderr


def test_an_edited_work_tree_can_be_planned_but_its_plan_is_not_applied(operator: Operator) -> None:
    operator.write({"gitopsd.yaml": (operator.folder / "gitopsd.yaml").read_text() + "\n# edited\n"})
    ran = operator.run("plan", "--out", "plan.json")
    assert "not committed" in ran.stdout
    ran = operator.run("apply", "plan.json", expect=64)
    assert "uncommitted" in ran.stderr


def test_a_file_that_is_no_plan_is_refused(operator: Operator) -> None:
    operator.write({"plan.json": "{}"})
    ran = operator.run("apply", "plan.json", expect=64)
    assert "plan.json is not a plan" in ran.stderr


def test_a_worker_that_does_not_answer_is_named_with_its_address(operator: Operator) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        worker = f'{{address: 127.0.0.1, port: {port}, user: nobody, host_key: "{HOST_KEY}"}}'
        operator.write({"fleets/local.yaml": f"groups: {{local: {{workers: {{away: {worker}}}}}}}\n"})
        operator.commit("A worker that is away")
        ran = operator.run("apply", expect=4)
        assert f"127.0.0.1:{port}" in ran.stderr
        status = operator.run("status", "--exit-code", expect=1)
        assert "unreachable" in status.stdout


def test_a_configuration_with_a_mistake_is_shown_with_its_place(operator: Operator, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("ssh: {identiti: x}\n")
    ran = operator.run("--config", str(config), "plan", expect=1)
    assert "unknown key `identiti`" in ran.stderr
    assert f"{config}:1:7" in ran.stderr


def test_mistakes_are_annotations_for_github_and_results_for_sarif(operator: Operator) -> None:
    path = "workflows/roundtrip.yaml"
    operator.write({path: (operator.folder / path).read_text().replace("in: collected", "in: colected")})
    annotation = operator.run("check", "--format", "github", expect=1).stdout
    assert annotation.startswith(f"::error file={path},line=")
    assert "title=unknown-channel::there is no channel `colected`" in annotation
    assert annotation.count("\n") == 1, "newlines are escaped"
    sarif = operator.run("check", "--format", "sarif", expect=1).json
    results = sarif["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["unknown-channel"]
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == path


def test_a_place_that_the_built_in_worker_cannot_use_is_refused_before_anything_is_committed(
    operator: Operator, tmp_path: Path
) -> None:
    odd = Operator(folder=operator.folder, home=tmp_path / 'a "quoted" home')
    odd.home.mkdir()
    ran = odd.run("apply", expect=1)
    assert "set XDG_STATE_HOME" in ran.stderr
    assert operator.git("branch", "--list", "rendered/local") == ""


def test_with_json_a_failure_is_on_stdout_as_well(tmp_path: Path) -> None:
    ran = Operator(folder=tmp_path, home=tmp_path).run("status", "--json", expect=1)
    error = json.loads(ran.stdout)["error"]
    assert str(tmp_path) in error["message"]
    assert error["hint"]
    assert error["message"] in ran.stderr


def test_with_json_a_version_that_does_not_compile_has_its_diagnostics_on_stdout(operator: Operator) -> None:
    flow = operator.folder / "workflows/roundtrip.yaml"
    flow.write_text(flow.read_text().replace("in: collected", "in: colected"))
    ran = operator.run("plan", "--json", expect=1)
    error = json.loads(ran.stdout)["error"]
    assert "unknown-channel" in {one["code"] for one in error["diagnostics"]}
    errors = [one for one in error["diagnostics"] if one["severity"] == "error"]
    assert error["message"] == f"the version has {len(errors)} error{'' if len(errors) == 1 else 's'}"
