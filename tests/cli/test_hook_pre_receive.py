"""Real pushes to a repository with hooks, and what whoever pushes is told before any ref moves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.pushing import SERVER, Pusher, folded, pusher
from tests.operator import Operator
from tests.ssh_keys import SshKey, allow, make_key, signing_options

WORKFLOW = "workflows/roundtrip.yaml"
PINNED = """\
environments:
  local: {{fleet: fleets/local.yaml, params: {{roundtrip: {{data: /tmp/data}}}}, pin: {pin}}}
"""


@pytest.fixture
def ada(operator: Operator) -> Pusher:
    return pusher(operator)


def pin(ada: Pusher, name: str) -> str:
    return ada.commit({"gitopsd.yaml": PINNED.format(pin=name)})


def signed_only(ada: Pusher, folder: Path) -> SshKey:
    """Installs the hook for an operator who wants versions signed, by the key that is given."""
    key = make_key(folder, "ada")
    configuration = folder / "signed.yaml"
    configuration.write_text(f"policy: {{signers: [{allow(folder / 'signers', ('ada', '', key))}]}}\n")
    ada.operator.run("--config", str(configuration), "hook", "install", str(ada.bare))
    return key


def many_workflows(operator: Operator, count: int) -> dict[str, str]:
    text = (operator.folder / WORKFLOW).read_text()
    versions = {n: text.replace("type: string, ", f"type: string, default: /tmp/data/w{n}, ") for n in range(count)}
    return {f"workflows/w{n}.yaml": text.replace(": roundtrip", f": w{n}") for n, text in versions.items()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_push_into_an_empty_repository_shows_its_plan(ada: Pusher) -> None:
    pushed = ada.push("main")
    assert ada.head() == ada.operator.git("rev-parse", "main")
    assert "  + create roundtrip.collect.0: starts\n" in pushed.remote
    assert "\nPlan: 2 create." in pushed.remote
    plan = pushed.remote.partition("gitopsd: not deployed")[0]  # the rest has a path that may be as long as it likes
    assert max(map(len, plan.split("\n"))) < 80 - len("remote: ")


def test_a_version_that_is_not_signed_is_rejected_where_it_has_to_be(ada: Pusher, tmp_path: Path) -> None:
    key = signed_only(ada, tmp_path)
    pushed = ada.push("main", expect=1)
    assert "is not signed" in folded(pushed.remote)
    ada.operator.git(*signing_options(key), "-c", "user.name=Ada", "-c", "user.email=ada@example.org",
                     "commit", "--quiet", "--amend", "--no-edit", "-S")  # fmt: skip
    ada.push("main")
    assert ada.head() == ada.operator.git("rev-parse", "main")


def test_a_version_that_does_not_compile_is_rejected_and_leaves_nothing_behind(ada: Pusher) -> None:
    ada.push("main")
    before = files_of(ada.bare)
    ada.edit(WORKFLOW, "std/read-files", "std/raed-files")
    pushed = ada.push("main", expect=1)
    assert "error[unknown-blueprint]: there is no blueprint `std/raed-files`" in pushed.remote
    assert (
        "     use: std/raed-files\n    |          ^^^^^^^^^^^^^^\n  hint: did you mean `std/read-files`?"
        in pushed.remote
    )
    assert "1 error\ngitopsd: rejected, and main stays as it is" in pushed.remote
    assert "(pre-receive hook declined)" in pushed.output
    assert files_of(ada.bare) == before


def test_what_the_operators_policy_refuses_is_rejected(operator: Operator, tmp_path: Path) -> None:
    configuration = tmp_path / "operator.yaml"
    configuration.write_text("policy: {max_jobs: 1}\n")
    bare = tmp_path / "fleet.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    operator.run("--config", str(configuration), "hook", "install", str(bare))
    ada = Pusher(operator=operator, bare=bare, url=f"file://{bare}")
    pushed = ada.push("main", expect=1)
    assert "error[too-many-jobs-for-policy]" in pushed.remote
    assert not ada.head()


def test_advice_rejects_nothing(operator: Operator) -> None:
    ada = pusher(operator, "--mode", "advise")
    ada.push("main")
    commit = ada.edit(WORKFLOW, "std/read-files", "std/raed-files")
    pushed = ada.push("main")
    assert "error[unknown-blueprint]" in pushed.remote
    assert "let through all the same (advise)" in pushed.remote
    assert ada.head() == commit
    ada.operator.git("reset", "--quiet", "--hard", "HEAD~1")
    assert "this push rewrites main" in ada.push("--force", "main").remote
    assert ada.head() != commit


def test_another_branch_shows_its_plan_and_is_never_rejected(operator: Operator, ada: Pusher) -> None:
    operator.run("apply")
    ada.push("main", "rendered/local")
    ada.edit(WORKFLOW, "/out", "/elsewhere")
    assert "update roundtrip.deliver.0: restarts" in ada.push("HEAD:refs/heads/proposal").remote
    commit = ada.edit(WORKFLOW, "std/read-files", "std/raed-files")
    pushed = ada.push("HEAD:refs/heads/proposal")
    assert "gitopsd: planning proposal at" in pushed.remote
    assert "error[unknown-blueprint]" in pushed.remote
    assert "rejected" not in pushed.remote
    assert ada.head("refs/heads/proposal") == commit
    ada.push("--force", "HEAD~2:refs/heads/proposal")
    assert ada.push(":refs/heads/proposal").remote == ""


def test_a_first_push_of_a_branch_that_is_not_deployed_says_which_one_is(ada: Pusher) -> None:
    assert "only pushes to main are deployed" in folded(ada.push("HEAD:refs/heads/master").remote)


def test_history_of_the_source_branch_is_not_rewritten(ada: Pusher) -> None:
    ada.push("main")
    first = ada.commit()
    ada.push("main")
    ada.operator.git("reset", "--quiet", "--hard", "HEAD~1")
    ada.commit({"README.md": "another\n"})
    pushed = ada.push("--force", "main", expect=1)
    assert f"this push rewrites main: {first[:12]} is not in the history of" in folded(pushed.remote)
    assert "hint: `git pull --rebase` and push again" in pushed.remote
    assert "`gitopsd accept` afterwards" in folded(pushed.remote), "it says how a rewrite that must be is let in"
    ada.server("config", "receive.denyDeleteCurrent", "ignore")
    assert "this push deletes main" in ada.push(":main", expect=1).remote
    assert ada.head() == first


def test_history_may_be_rewritten_where_the_hook_was_installed_so(operator: Operator) -> None:
    ada = pusher(operator, "--allow-rewrite")
    ada.commit()
    ada.push("main")
    ada.operator.git("reset", "--quiet", "--hard", "HEAD~1")
    assert "nothing from it before `gitopsd accept`" in folded(ada.push("--force", "main").remote)
    assert ada.head() == ada.operator.git("rev-parse", "main")


def test_what_controllers_push_passes_in_silence(ada: Pusher) -> None:
    (ada.operator.home / SERVER).write_text("not: understood\n")
    refs = ["refs/heads/rendered/local", "refs/notes/gitopsd/local", "refs/changes/1"]
    assert ada.push(*(f"main:{ref}" for ref in refs)).remote == ""
    assert "could not be judged: the operator's configuration" in folded(ada.push("main").remote)


def test_an_artifact_branch_of_another_name_passes_in_silence(ada: Pusher) -> None:
    ada.edit("gitopsd.yaml", "fleet:", "artifacts: deployed\n    fleet:")
    ada.push("main")
    assert ada.push("main:refs/heads/deployed").remote == ""


def test_a_new_tag_moves_nothing_and_a_pinned_one_that_moves_is_planned(ada: Pusher) -> None:
    ada.operator.git("tag", "v1")
    pin(ada, "v1")
    pushed = ada.push("main", "v1")  # the pin is there only with this push
    assert ", pinned to " in pushed.remote
    ada.edit(WORKFLOW, "/out", "/elsewhere")
    assert "pinned to" in ada.push("main").remote
    ada.operator.git("tag", "v2")
    assert ada.push("v2").remote == ""
    ada.operator.git("tag", "--force", "v1")
    pushed = ada.push("--force", "v1")
    assert "local is pinned to the tag v1: planning main with it" in pushed.remote
    assert "Plan: 2 create." in pushed.remote
    deleted = ada.push(":refs/tags/v1", expect=1)
    assert "error[unknown-pin]" in deleted.remote
    assert ada.head("refs/tags/v1") == ada.operator.git("rev-parse", "v1")


def test_a_pin_to_what_the_server_does_not_have_is_rejected(ada: Pusher) -> None:
    ada.operator.git("tag", "v1")
    pin(ada, "v1")
    assert "error[unknown-pin]" in ada.push("main", expect=1).remote  # without the tag


def test_only_the_environments_that_were_chosen_are_judged(operator: Operator) -> None:
    ada = pusher(operator, "--env", "local")
    text = (operator.folder / "gitopsd.yaml").read_text()
    ada.commit({"gitopsd.yaml": f"{text.rstrip()}\n  other: {{fleet: fleets/missing.yaml}}\n"})
    assert "environment local," in ada.push("main").remote
    operator.run("hook", "install", str(ada.bare))
    ada.commit()
    assert "fleets/missing.yaml" in ada.push("main", expect=1).remote


def test_an_artifact_branch_that_cannot_be_read_is_nobodys_fault_who_pushes(operator: Operator, ada: Pusher) -> None:
    operator.run("apply")
    operator.git("checkout", "--quiet", "rendered/local")
    operator.write({"policy.json": "{"})
    operator.commit("Break the policy")
    operator.git("checkout", "--quiet", "main")
    pushed = ada.push("rendered/local", "main")
    assert "error: policy.json on the artifact branch can't be read" in folded(pushed.remote)
    assert "gitopsd: this push could not be judged it is let through" in folded(pushed.remote)


def test_several_refs_at_once(ada: Pusher) -> None:
    ada.server("config", "receive.advertisePushOptions", "true")
    branches = [f"main:refs/heads/branch-{number}" for number in range(5)]
    ada.operator.git("tag", "v1")
    pushed = ada.push("--push-option=$(touch /tmp/x)", "main", "v1", *branches)
    assert pushed.remote.count("gitopsd: planning") == 4
    assert "planning main at" in pushed.remote.split("planning branch", 1)[0]
    assert "2 more branches were pushed, and not planned" in pushed.remote
    assert len(ada.head("refs/heads/").split()) == 6


def test_a_version_that_changes_nothing_says_so(operator: Operator, ada: Pusher) -> None:
    operator.run("apply")
    ada.push("main", "rendered/local")
    ada.commit({"README.md": "words\n"})
    assert "No changes: 2 jobs are as this version has them." in ada.push("main").remote


def test_a_long_plan_is_shortened_and_says_how_to_see_the_rest(ada: Pusher) -> None:
    ada.commit(many_workflows(ada.operator, 40))
    pushed = ada.push("main")
    commit = ada.head()[:12]
    assert f"more lines: `gitopsd --env local plan {commit}` in your clone shows them" in folded(pushed.remote)
    assert "\nPlan: 82 create." in pushed.remote
    assert len(pushed.remote.split("\n")) < 90


def test_nothing_of_a_push_acts_on_the_terminal_of_whoever_reads_it(ada: Pusher) -> None:
    ada.edit(WORKFLOW, "std/read-files", '"std/\\e]0;owned\\a\\e[2J\\r"')
    pushed = ada.push("main", "main:refs/heads/a\u202eb", expect=1)
    assert "error[" in pushed.remote
    assert not {character for character in pushed.remote if not character.isprintable()} - {"\n"}


def test_whoever_goes_away_meanwhile_does_not_change_the_verdict(ada: Pusher) -> None:
    ada.push("main")
    bad = ada.edit(WORKFLOW, "std/read-files", "std/raed-files")
    ada.push("HEAD:refs/heads/proposal")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code = subprocess.run(
            [ada.bare / "hooks/pre-receive"],
            cwd=ada.bare,
            env={**ada.operator.environment(), "GIT_DIR": "."},
            input=f"{ada.head()} {bad} refs/heads/main\n".encode(),
            stdout=writing,
            stderr=writing,
            timeout=60,
            check=False,
        ).returncode
    finally:
        os.close(writing)
    assert code == 1


@pytest.mark.parametrize("strict", [False, True])
def test_a_version_that_takes_too_long_to_plan_does_not_hold_up_the_push(operator: Operator, *, strict: bool) -> None:
    ada = pusher(operator, "--plan-deadline", "1s", *(["--strict"] if strict else []))
    ada.commit(many_workflows(operator, 2000))
    pushed = ada.push("main", expect=int(strict))
    assert "could not be judged: it took more than 1 s" in folded(pushed.remote)
    assert ("installed with --strict" if strict else "it is let through") in folded(pushed.remote)
    assert bool(ada.head()) is not strict


@pytest.mark.parametrize("strict", [False, True])
def test_a_gitopsd_that_is_gone_is_said_and_blocks_nothing_unless_strict(operator: Operator, *, strict: bool) -> None:
    ada = pusher(operator, *(["--strict"] if strict else []))
    hook = ada.bare / "hooks/pre-receive"
    hook.write_text(hook.read_text().replace(sys.executable, "/nowhere/python"))
    pushed = ada.push("main", expect=int(strict))
    assert "gitopsd can't be run here (exit code 127): this push is not judged" in folded(pushed.remote)
    assert bool(ada.head()) is not strict
