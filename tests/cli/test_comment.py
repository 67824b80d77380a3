"""`gitopsd comment`, as a job of CI runs it, on each forge."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.forge.standin import Standin, forge_standin
from tests.forge.standin.forge import BOT, TOKEN
from tests.operator import Operator

FLEET = """\
groups:
  local:
    workers:
      local-1: {connection: local, service_manager: supervisor}
"""
WORKFLOW = """\
workflow: orders
steps:
  read: {use: std/read-files, with: {glob: /srv/in/*}, out: c, place: {group: local}}
  write: {use: std/write-files, with: {path: /srv/out}, in: c, place: {group: local}}
channels: {c: {transport: worker}}
"""
FILES = {
    "gitopsd.yaml": "environments:\n"
    + "".join(f"  {name}: {{fleet: fleets/production.yaml}}\n" for name in ("production", "staging")),
    "fleets/production.yaml": FLEET,
    "workflows/orders.yaml": WORKFLOW,
}


class Job:
    """A checkout of a pull request on a forge, with the variables that its CI sets."""

    def __init__(self, forge: Standin, folder: Path) -> None:
        self.forge = forge
        self._folder = folder
        self._checkouts = 0
        forge.commit("main", FILES)

    def checkout(self, number: int, *, from_fork: bool = False) -> Operator:
        pull = self.forge.pulls[number]
        self._checkouts += 1
        operator = Operator(folder=self._folder / f"checkout-{self._checkouts}", home=self._folder / "home")
        operator.folder.mkdir(parents=True)
        operator.git("clone", "--quiet", self.forge.git_url, ".")
        ref = "merge-requests" if self.forge.kind == "gitlab" else "pull"
        operator.git("fetch", "--quiet", "origin", f"refs/{ref}/{number}/head")
        operator.git("checkout", "--quiet", "FETCH_HEAD")
        head = operator.git("rev-parse", "HEAD")
        return replace(operator, variables=self._variables(number, head, pull.base, from_fork=from_fork))

    def _variables(self, number: int, head: str, base: str, *, from_fork: bool) -> dict[str, str]:
        name = "somebody/fleet" if from_fork else self.forge.name
        if self.forge.kind == "gitlab":
            return {
                "GITLAB_CI": "true", "CI_SERVER_URL": self.forge.url, "CI_PROJECT_PATH": self.forge.name,
                "CI_MERGE_REQUEST_IID": str(number), "CI_COMMIT_SHA": head,
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": base, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": name,
                "GITLAB_TOKEN": TOKEN,
            }  # fmt: skip
        event = self._folder / f"event-{number}.json"
        sides = {
            "head": {"sha": head, "ref": "feature", "repo": {"full_name": name}},
            "base": {"sha": "0" * 40, "ref": base, "repo": {"full_name": self.forge.name}},
        }
        event.write_text(json.dumps({"pull_request": {"number": number, **sides}}))
        gitea = {"GITEA_ACTIONS": "true"} if self.forge.kind == "gitea" else {}
        return {
            "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": self.forge.url, "GITHUB_REPOSITORY": self.forge.name,
            "GITHUB_EVENT_PATH": str(event), "GITHUB_TOKEN": TOKEN, **gitea,
        }  # fmt: skip


@pytest.fixture(params=["github", "gitlab", "gitea"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Job]:
    with forge_standin(request.param, tmp_path / "forge") as forge:
        yield Job(forge, tmp_path)


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Job]:
    with forge_standin("github", tmp_path / "forge") as forge:
        yield Job(forge, tmp_path)


def test_a_comment_and_a_status_for_each_environment_are_written_once_and_edited_in_place(job: Job) -> None:
    head = job.forge.commit("feature", {"workflows/orders.yaml": WORKFLOW.replace("/srv/out", "/srv/elsewhere")})
    number = job.forge.open("feature")
    checkout = job.checkout(number)
    checkout.run("comment")
    notes = job.forge.pulls[number].notes
    assert [(note.author, note.body.split("\n")[0]) for note in notes] == [
        (BOT, "<!-- gitopsd plan production -->"),
        (BOT, "<!-- gitopsd plan staging -->"),
    ]
    assert "### Plan for `production`: 2 create" in notes[0].body
    assert {one.context: one.state for one in job.forge.statuses(head)} == {
        "gitopsd/plan/production": "success",
        "gitopsd/plan/staging": "success",
    }
    again = checkout.run("comment")
    assert [note.edits for note in notes] == [0, 0]
    assert "the comment stays" in again.stdout
    job.forge.commit("feature", {"workflows/orders.yaml": WORKFLOW.replace("local}}", "local, replicas: 2}}")})
    job.checkout(number).run("comment")
    assert [note.edits for note in job.forge.pulls[number].notes] == [1, 1]


def test_the_base_is_the_branch_as_it_is_now(github: Job) -> None:
    github.forge.commit("feature", {"README.md": "more\n"})
    number = github.forge.open("feature")
    checkout = github.checkout(number)
    github.forge.commit("main", {"workflows/alerts.yaml": WORKFLOW.replace("orders", "alerts")}, "goes on")
    checkout.run("comment")
    assert "`alerts.read.0`" in github.forge.pulls[number].notes[0].body


def test_what_does_not_compile_is_a_failure_with_links_to_the_lines(github: Job) -> None:
    head = github.forge.commit(
        "feature", {"workflows/orders.yaml": WORKFLOW.replace("std/read-files", "std/red-files")}
    )
    number = github.forge.open("feature")
    github.checkout(number).run("comment", expect=1)
    page = f"{github.forge.url}/acme/fleet/blob/{head}/workflows/orders.yaml#L3"
    assert f"(<{page}>)" in github.forge.pulls[number].notes[0].body
    assert {one.state for one in github.forge.statuses(head)} == {"failure"}


def test_a_dry_run_prints_all_of_it_and_needs_neither_forge_nor_token(github: Job) -> None:
    github.forge.commit("feature", {"README.md": "more\n"})
    checkout = github.checkout(github.forge.open("feature"))
    checkout = replace(checkout, variables={})
    printed = checkout.run(
        "--env", "production", "comment", "--base", "main", "--dry-run", "--detailed-exitcode", expect=2
    )
    assert printed.stdout.startswith("<!-- gitopsd plan production -->\n### Plan for `production`: 2 create\n")
    assert github.forge.pulls[1].notes == []


def test_a_fork_whose_token_may_only_read_gets_its_plan_in_a_file(github: Job, tmp_path: Path) -> None:
    github.forge.fork("somebody")
    github.forge.commit("feature", {"README.md": "more\n"}, fork="somebody")
    checkout = github.checkout(github.forge.open("feature", fork="somebody", author="somebody"), from_fork=True)
    variables = {**checkout.variables, "GITHUB_TOKEN": "may-only-read"}
    page = tmp_path / "summary.md"
    ran = replace(checkout, variables=variables).run("comment", "--output", str(page))
    assert "jobs of forks may only read" in ran.stderr
    assert "### Plan for `production`: 2 create" in page.read_text()
    ours = {**github.checkout(1).variables, "GITHUB_TOKEN": "may-only-read"}
    assert "error: " in replace(checkout, variables=ours).run("comment", expect=1).stderr


def test_no_token_is_in_what_it_prints(github: Job) -> None:
    github.forge.commit("feature", {"README.md": "more\n"})
    ran = github.checkout(github.forge.open("feature")).run("comment")
    assert TOKEN not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ("GITHUB_ACTIONS", "this is no job of CI"),
        ("GITHUB_EVENT_PATH", "this job runs for no pull request"),
        ("GITHUB_TOKEN", "there is no token"),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(github: Job, removed: str, said: str) -> None:
    github.forge.commit("feature", {"README.md": "more\n"})
    checkout = github.checkout(github.forge.open("feature"))
    variables = {name: value for name, value in checkout.variables.items() if name != removed}
    failed = replace(checkout, variables=variables).run("comment", expect=1)
    assert said in failed.stderr
    assert "hint: " in failed.stderr
