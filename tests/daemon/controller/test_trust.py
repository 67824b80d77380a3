"""A daemon, and somebody who writes what it is to deploy anew, or what it has committed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.controller.daemon_process import Site, daemon, wait_for_deployment, wait_for_outcome
from tests.daemon.controller.two_programs import RUNS, two_programs
from tests.daemon.trust.forgery import content, forge

BRANCH = "rendered/local"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from two_programs(tmp_path)


def change(site: Site, text: str, *push: str) -> str:
    site.operator.write({"files/orders.sh": RUNS + text})
    site.operator.commit("Another orders")
    return site.push(*push)


def pids(site: Site) -> dict[str, int]:
    return {one["job"]: one["main_pid"] for one in site.operator.run("workloads", "--json").json}


def test_a_forged_head_reaches_no_worker_and_is_said_and_put_right(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        before = pids(site)
        site.operator.git("fetch", "--quiet", "origin", f"+{BRANCH}:{BRANCH}")
        path = "workers/local-1/jobs/orders.main.0/files/run"
        honest = content(site.operator.folder, path, branch=BRANCH)
        forged = forge(site.operator.folder, {path: honest + b"# and more\n"}, branch=BRANCH)
        site.operator.git("push", "--quiet", "origin", BRANCH)
        wait_for_deployment(site, 2)
        assert content(site.bare, path, branch=BRANCH) == honest
        assert pids(site) == before, "its worker never had anything else"
    said = site.log.read_text()
    assert f"commit {forged[:12]} by Eve" in said
    assert path in said


def test_a_rewritten_source_branch_is_refused_until_a_person_accepts_it(site: Site) -> None:
    with daemon(site):
        wait_for_deployment(site, 1)
        old = change(site, "# held a name\n")
        wait_for_deployment(site, 2)
        site.operator.git("reset", "--quiet", "--hard", "HEAD~1")
        new = change(site, "# without it\n", "--force")
        refused = wait_for_outcome(site, "refused", new)
        assert old[:12] in refused["error"]
        assert "gitopsd accept" in refused["hint"]
        site.operator.run("accept", "--reason", "it held a name")
        wait_for_deployment(site, 3)
