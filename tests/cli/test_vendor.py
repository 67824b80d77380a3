"""`gitopsd vendor` as people call it, up to a workflow that uses what was copied."""

from pathlib import Path

import pytest

from tests.daemon.libraries import pair
from tests.operator import Operator

WORKFLOW = """\
workflow: alerts
steps:
  collect:
    use: std/read-files
    with: {glob: "/srv/in/*.jsonl"}
    out: rows
    place: {group: local}
  notify:
    use: modules/vendor/library/notify
    in: {records: rows}
    place: {group: local}
channels:
  rows: {transport: worker}
"""


@pytest.fixture
def library(tmp_path: Path) -> str:
    """The URL of a repository with modules."""
    return f"file://{pair(tmp_path / 'others').other.path}"


def test_a_copied_module_is_used_by_a_workflow_and_planned(operator: Operator, library: str) -> None:
    ran = operator.run("vendor", "add", library, "v1", "modules/notify.yaml")
    assert "use: modules/vendor/library/notify" in ran.stdout
    assert "added: files/alert.sh" in ran.stdout
    operator.write({"workflows/alerts.yaml": WORKFLOW})
    operator.run("check")
    operator.commit("Notify through the library's module")
    plan = operator.run("plan", "--json").json
    assert "alerts.notify.check.filter.0" in {change["job"] for change in plan["changes"]}
    assert "nothing to do" in operator.run("vendor", "add", library, "v1", "modules/notify.yaml").stdout
    copied = operator.folder / "modules/vendor/library/modules/notify.yaml"
    copied.write_text(copied.read_text() + "# mine\n")
    assert "vendor-modified" in operator.run("check", expect=1).stderr
    ran = operator.run("vendor", "update", expect=1)
    assert "changed: modules/notify.yaml" in ran.stderr
    operator.run("vendor", "update", "--force", "library")
    operator.run("check")


def test_check_says_by_its_exit_code_whether_the_copies_are_what_the_lock_says(
    operator: Operator, library: str
) -> None:
    assert operator.run("vendor", "check").stdout == "nothing is vendored here\n"
    operator.run("vendor", "add", library, "main", "modules", "--name", "shared")
    shown = operator.run("vendor", "check", "--json").json
    assert shown["clean"]
    assert [one["library"] for one in shown["libraries"]] == ["shared"]
    (operator.folder / "modules/vendor/shared/files/alert.sh").unlink()
    ran = operator.run("vendor", "check", expect=1)
    assert "is not what was copied from main" in ran.stdout
    operator.run("vendor", "check", "--upstream", "--json", expect=1)


def test_an_update_prints_where_from_and_where_to(operator: Operator, library: str) -> None:
    operator.run("vendor", "add", library, "main", "modules/cleanse.yaml")
    assert "nothing to do" in operator.run("vendor", "update").stdout
    other = Operator(folder=Path(library.removeprefix("file://")), home=operator.home)
    before = other.git("rev-parse", "--short=12", "HEAD")
    other.write({"modules/cleanse.yaml": (other.folder / "modules/cleanse.yaml").read_text() + "# newer\n"})
    after = other.commit("newer")[:12]
    assert f"main is at {after} now" in operator.run("vendor", "check", "--upstream").stdout
    assert after not in operator.run("vendor", "check").stdout
    ran = operator.run("vendor", "update", "library")
    assert ran.stdout.splitlines() == [f"library: {before} -> {after} (main)", "  changed: modules/cleanse.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "ext::true", "v1", "modules"), "is not used"),
        (("add", "--", "-x", "v1", "modules"), "neither a URL nor a path"),
        (("update", "nothing"), "there is no library `nothing`"),
        (("update", "--ref", "v2"), "--ref is for one library"),
    ],
)
def test_what_can_not_be_done_is_said_with_the_way_out(
    operator: Operator, arguments: tuple[str, ...], said: str
) -> None:
    ran = operator.run("vendor", *arguments, expect=1)
    assert said in ran.stderr
    assert "hint:" in ran.stderr
    assert not (operator.folder / "modules").exists()


def test_mistakes_of_the_other_repository_are_shown_with_their_place_there(operator: Operator, library: str) -> None:
    other = Operator(folder=Path(library.removeprefix("file://")), home=operator.home)
    other.git("rm", "-q", "blueprints/warn.yaml")
    commit = other.commit("worse")
    ran = operator.run("vendor", "add", library, "main", "modules/notify.yaml", expect=1)
    assert f"library@{commit[:12]}:modules/notify.yaml:5:" in ran.stderr
    assert "use: blueprints/alert" in ran.stderr


def test_a_repository_behind_a_url_has_no_place_for_copies(operator: Operator, library: str) -> None:
    ran = operator.run("--repo", library, "vendor", "add", library, "v1", "modules", expect=1)
    assert "no work tree" in ran.stderr
