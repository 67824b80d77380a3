"""A pull request from its opening to what came of its merge, by a real daemon, on each kind of forge."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gitopsd.forge.forge import ForgeKind
from tests.daemon.controller.daemon_process import daemon, wait_for_deployment, wait_for_outcome
from tests.daemon.controller.pull_requests.forge_site import DEPLOY, RUNS, ForgeSite, forge_site, without_foot
from tests.daemon.controller.two_programs import DIES
from tests.operator import eventually
from tests.ports import free_port

KINDS: tuple[ForgeKind, ...] = ("github", "gitlab", "gitea")


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ForgeSite]:
    with forge_site(request.param, tmp_path) as found:
        yield found


def test_what_was_shown_is_what_merging_does_and_its_outcome_comes_back(site: ForgeSite) -> None:
    forge = site.forge
    with daemon(site.site):
        wait_for_deployment(site.site, 1)
        number = site.propose("better", "orders", RUNS + "# better\n")
        first = site.wait_for_plan(number)
        assert "`orders.main.0`" in first
        assert [one.state for one in site.statuses(forge.pulls[number].head)] == ["pending", "success"]

        forge.commit("better", {"files/orders.sh": RUNS + "# better still\n"})
        second = site.wait_for_plan(number)
        assert "better still" in second
        assert len(site.comments(number)) == 1, "edited in place"

        writes = site.writes()
        site.wait_for_rounds(3)
        assert site.writes() == writes, "nothing moved, so nothing is written"

        forge.commit("main", {"README.md": "another base\n"}, "A base that moved")
        site.wait_for_rounds(4)
        assert without_foot(site.comment(number)) == without_foot(second)
        assert site.writes() == writes, "the same plan on another base is not written again"

        shown = site.effects(number)
        merged = forge.merge(number)
        wait_for_deployment(site.site, 2)
        eventually("the merge has its status", lambda: site.status(merged, DEPLOY) == "success")
        eventually("the outcome is told", lambda: "converged on 1 worker" in site.comment(number))
        assert "It does what is shown here." in site.comment(number)
        assert "better still" in site.comment(number), "the plan stays"
        assert len(site.comments(number)) == 1
        reviewed = site.site.note(2)["reviewed"]
        assert reviewed == {"pull_request": number, "shown": shown, "deployed": shown, "same": True}
        assert "it did what was shown there" in site.site.operator.run("show", "2").stdout


def test_a_version_that_fails_is_told_with_its_error_and_as_reverted(site: ForgeSite) -> None:
    with daemon(site.site):
        wait_for_deployment(site.site, 1)
        number = site.propose("worse", "orders", DIES)
        site.wait_for_plan(number)
        merged = site.forge.merge(number)
        eventually("the failure is told", lambda: site.status(merged, DEPLOY) == "failure")
        eventually("and the revert", lambda: "reverted by deployment 3" in site.comment(number))


def test_what_does_something_else_than_was_shown_is_held_and_said_until_a_person_applies_it(
    tmp_path: Path,
) -> None:
    with forge_site("github", tmp_path, policy={"require_reviewed_plan": True}) as site, daemon(site.site):
        first = site.forge.repository.head("main")
        eventually_held(site, first, "came without a pull request")
        site.site.operator.run("apply")
        wait_for_deployment(site.site, 1)

        same = site.propose("same", "orders", RUNS + "# better\n")
        site.wait_for_plan(same)
        site.forge.merge(same)
        wait_for_deployment(site.site, 2)
        eventually("it is told", lambda: "It does what is shown here." in site.comment(same))
        assert "not asked yet" not in site.site.log.read_text(), "nobody is told that it waits for a moment"

        number = site.propose("late", "alerts", RUNS + "# louder\n")
        site.wait_for_plan(number)
        with site.forge.outage():  # so that nobody is shown what the base became
            site.forge.commit("main", {"files/orders.sh": RUNS + "# pushed past review\n"})
            merged = site.forge.merge(number)
            wait_for_outcome(site.site, "held", merged)
        reasons = eventually_held(site, merged, "does something else")
        assert f"pull request {number} showed: local-1 orders.main.0 (not shown)" in reasons
        assert "`gitopsd apply`" in reasons
        eventually("the pull request says so", lambda: "not shown" in site.comment(number))
        eventually("and its merge", lambda: site.status(merged, DEPLOY) == "pending")
        assert "does something else" in site.site.operator.run("status").stdout
        assert max(site.site.deployments()) == 2

        site.site.operator.git("pull", "--quiet", "origin", "main")
        site.site.operator.run("apply")
        wait_for_deployment(site.site, 3)
        eventually("the outcome is told", lambda: site.status(merged, DEPLOY) == "success")
        assert "It does something else than is shown here" in site.comment(number)
        assert site.site.note(3)["reviewed"]["same"] is False


def eventually_held(site: ForgeSite, source: str, words: str) -> str:
    def reasons() -> str:
        outcome = site.site.outcome()
        return " ".join(outcome.get("reasons", ())) if outcome.get("source") == source else ""

    eventually(f"it is held: {words}", lambda: words in reasons())
    return reasons()


def test_a_webhook_has_a_pull_request_planned_at_once_and_what_is_done_is_counted(tmp_path: Path) -> None:
    secret, port, metrics = tmp_path / "webhook_secret", free_port(), free_port()
    secret.write_text("a secret of this test\n")
    secret.chmod(0o600)
    with forge_site("gitea", tmp_path) as site:
        site.configure(
            forge={"webhook_secret": {"file": str(secret)}},
            intervals={"poll": "1h", "reconcile": "1h", "pulls": "1h"},
            listen={
                "control": str(site.site.socket),
                "webhook": f"127.0.0.1:{port}",
                "metrics": f"127.0.0.1:{metrics}",
            },
        )
        with daemon(site.site):
            wait_for_deployment(site.site, 1)
            site.wait_for_quiet()
            site.forge.webhook(f"http://127.0.0.1:{port}/webhook", secret.read_text().strip())
            number = site.propose("better", "orders", RUNS + "# better\n")
            site.wait_for_plan(number)

            def page() -> str:
                return httpx.get(f"http://127.0.0.1:{metrics}/metrics", timeout=10).text

            eventually("it is counted", lambda: 'pull_requests_planned_total{outcome="shown"}' in page())
            assert 'gitopsd_forge_requests_total{status="2xx"}' in page()
