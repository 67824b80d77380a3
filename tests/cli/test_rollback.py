"""`rollback`: one commit on the source branch, and the same releases again."""

from pathlib import Path

import pytest

from tests.operator import AWAY_FLEET, Operator, away_operator

WORKFLOW = "workflows/roundtrip.yaml"

FLOW = """\
workflow: NAME
steps:
  read: {use: std/read-files, with: {glob: /srv/NAME/*, mode: MODE}, out: rows, place: {group: local}}
  mark: {use: blueprints/mark, in: rows, out: marked, place: {group: local}}
  write: {use: std/write-files, in: marked, with: {path: /srv/NAME-out}, place: {group: local}}
channels: {rows: {transport: worker}, marked: {transport: worker}}
"""
MARK = """\
blueprint: mark
in: {default: {speaks: [stdio]}}
out: {default: {speaks: [stdio]}}
job: {kind: service, exec: [jq, -c, --unbuffered, .MARK]}
"""


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return away_operator(tmp_path)


def _tree(operator: Operator, revision: str = "rendered/local") -> str:
    return operator.git("rev-parse", f"{revision}:workers")


def _rotate(operator: Operator, seconds: int) -> None:
    text = (operator.folder / WORKFLOW).read_text().splitlines()
    changed = [
        f'    with: {{path: "${{{{ params.data }}}}/out", rotate_seconds: {seconds}}}' if "/out" in one else one
        for one in text
    ]
    operator.write({WORKFLOW: "\n".join(changed) + "\n"})
    operator.commit(f"Rotate every {seconds} s")
    operator.run("apply", expect=4)


def test_the_deployment_before_returns_with_one_commit_and_the_same_releases(operator: Operator) -> None:
    first = _tree(operator)
    _rotate(operator, 60)
    before = operator.git("rev-parse", "main")
    operator.write({"fleets/local.yaml": AWAY_FLEET + "# a comment that came later\n"})
    operator.commit("Something else")
    ran = operator.run("rollback")
    assert "~ update roundtrip.deliver.0" in ran.stdout
    assert "Not as it was then, and not restored: fleets; `git diff " in ran.stdout
    assert operator.git("rev-parse", "main~2") == before
    assert operator.git("status", "--porcelain") == ""
    assert "rotate" not in (operator.folder / WORKFLOW).read_text()
    assert "came later" in (operator.folder / "fleets/local.yaml").read_text()
    assert operator.git("log", "-1", "--format=%s") == "Return to deployment 1: A worker that is away"
    assert _tree(operator) != first  # nothing is deployed by it
    operator.run("apply", expect=4)
    assert _tree(operator) == first


def test_a_dry_run_shows_the_plan_and_moves_nothing(operator: Operator) -> None:
    _rotate(operator, 60)
    head = operator.git("rev-parse", "main")
    ran = operator.run("rollback", "1", "--dry-run")
    assert "~ update roundtrip.deliver.0" in ran.stdout
    assert "not restored" not in ran.stdout
    assert "Nothing was written" in ran.stdout
    assert operator.git("rev-parse", "main") == head
    assert operator.git("status", "--porcelain") == ""


def test_edits_that_are_not_committed_are_not_lost(operator: Operator) -> None:
    _rotate(operator, 60)
    text = (operator.folder / WORKFLOW).read_text() + "# being written\n"
    operator.write({WORKFLOW: text})
    assert "not committed" in operator.run("rollback", expect=1).stderr
    assert (operator.folder / WORKFLOW).read_text() == text


def test_where_there_is_nothing_before_or_nothing_to_change_it_says_so(operator: Operator) -> None:
    assert "no deployment before" in operator.run("rollback", expect=1).stderr
    assert "has already what deployment 1 came from" in operator.run("rollback", "1", expect=1).stderr
    assert "no deployment '7'" in operator.run("rollback", "7", expect=1).stderr


def test_with_a_remote_it_is_pushed_and_somebody_elses_commit_is_not_overwritten(
    operator: Operator, tmp_path: Path
) -> None:
    _rotate(operator, 60)
    remote = tmp_path / "remote.git"
    operator.git("clone", "--quiet", "--mirror", ".", str(remote))
    operator.git("remote", "add", "origin", str(remote))
    assert "It is pushed: a controller deploys it by itself" in operator.run("rollback").stdout
    assert operator.git("ls-remote", "origin", "refs/heads/main").split()[0] == operator.git("rev-parse", "main")
    other = Operator(folder=tmp_path / "other", home=tmp_path)
    operator.git("clone", "--quiet", str(remote), str(other.folder))
    other.write({"files/new": "x"})
    theirs = other.commit("Theirs")
    other.git("push", "--quiet", "origin", "main")
    head = operator.git("rev-parse", "main")
    assert "git pull" in operator.run("rollback", "2", expect=1).stderr
    assert operator.git("rev-parse", "main") == head
    assert operator.git("ls-remote", "origin", "refs/heads/main").split()[0] == theirs


def _two_workflows(operator: Operator, *, mode: str, mark: str) -> None:
    flows = {f"workflows/{name}.yaml": FLOW.replace("NAME", name) for name in ("orders", "returns")}
    flows["workflows/orders.yaml"] = flows["workflows/orders.yaml"].replace("MODE", mode)
    flows["workflows/returns.yaml"] = flows["workflows/returns.yaml"].replace("MODE", "once")
    operator.write({**flows, "blueprints/mark.yaml": MARK.replace("MARK", mark)})
    operator.commit(f"{mode} {mark}")
    operator.run("apply", expect=4)


def test_one_workflow_returns_and_the_others_stay(operator: Operator) -> None:
    _two_workflows(operator, mode="once", mark="a")
    _two_workflows(operator, mode="tail", mark="a")
    operator.write({"workflows/returns.yaml": (operator.folder / "workflows/returns.yaml").read_text() + "# newer\n"})
    operator.commit("Newer")
    operator.run("rollback", "2", "--workflow", "orders")
    assert operator.git("diff", "--name-only", "HEAD^", "HEAD") == "workflows/orders.yaml"
    assert "mode: once" in (operator.folder / "workflows/orders.yaml").read_text()
    assert "did you mean `orders`" in operator.run("rollback", "2", "--workflow", "order", expect=1).stderr


def test_one_workflow_does_not_take_back_what_others_share(operator: Operator) -> None:
    _two_workflows(operator, mode="once", mark="a")
    _two_workflows(operator, mode="tail", mark="b")
    ran = operator.run("rollback", "2", "--workflow", "orders", expect=1)
    assert "shares files that changed since with returns: blueprints/mark.yaml" in ran.stderr


def test_environments_that_share_the_branch_are_asked_for_and_a_pinned_ones_pin_goes_back(operator: Operator) -> None:
    _rotate(operator, 60)
    settings = operator.folder / "gitopsd.yaml"
    text = settings.read_text().rstrip("\n")
    (entry,) = [line for line in text.splitlines() if line.strip() == "local:"]
    block = text[text.index(entry) :]
    settings.write_text(f"{text}\n{block.replace('local:', 'other:', 1)}\n")
    operator.commit("Another environment")
    ran = operator.run("--env", "local", "rollback", "1", expect=1)
    assert "--all-environments" in ran.stderr
    operator.run("--env", "local", "rollback", "1", "--all-environments")
    second, third = operator.git("rev-parse", "main~2"), operator.git("rev-parse", "main")
    settings.write_text(settings.read_text().replace(entry, f"{entry}\n    pin: {second} # ours", 1))
    operator.commit("Pin")
    operator.run("--env", "local", "apply", expect=4)
    settings.write_text(settings.read_text().replace(second, third))
    operator.commit("Promote")
    operator.run("--env", "local", "apply", expect=4)
    before = settings.read_text()
    pinned = operator.run("--env", "local", "rollback", "--json").json
    assert pinned["pin"] == second
    assert settings.read_text() == before.replace(third, second)
    assert operator.git("diff", "--name-only", "HEAD^", "HEAD") == "gitopsd.yaml"
