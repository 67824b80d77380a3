"""What goes wrong with a forge or with one pull request stays where it is, and is caught up with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.controller.daemon_process import Daemon, daemon, wait_for_deployment, wait_for_outcome
from tests.daemon.controller.pull_requests.forge_site import DEPLOY, RUNS, ForgeSite, forge_site
from tests.operator import eventually


def test_while_a_forge_is_down_deploying_goes_on_and_its_comments_catch_up(tmp_path: Path) -> None:
    with forge_site("gitea", tmp_path) as site, daemon(site.site):
        wait_for_deployment(site.site, 1)
        before = site.propose("before", "alerts", RUNS + "# before\n")
        site.wait_for_plan(before)
        with site.forge.outage():
            merged = site.forge.merge(before)
            number = site.propose("meanwhile", "orders", RUNS + "# meanwhile\n")
            wait_for_deployment(site.site, 2)
            eventually("it is said", lambda: "pull requests can't be looked at" in site.site.log.read_text())
        site.wait_for_plan(number)
        eventually("the merge's outcome is told", lambda: site.status(merged, DEPLOY) == "success")
        assert site.site.note(2)["reviewed"]["same"] is True
        assert site.site.log.read_text().count("pull requests can't be looked at") == 1


def test_a_lost_memory_writes_nothing_twice_and_a_merge_during_the_loss_is_compared_all_the_same(
    tmp_path: Path,
) -> None:
    with forge_site("gitea", tmp_path) as site:
        with daemon(site.site):
            wait_for_deployment(site.site, 1)
            stays = site.propose("stays", "alerts", RUNS + "# stays\n")
            goes = site.propose("goes", "orders", RUNS + "# goes\n")
            site.wait_for_plan(stays)
            site.wait_for_plan(goes)
        shown, text = site.effects(goes), site.comment(stays)
        next(site.site.operator.home.rglob("pull-requests.sqlite")).unlink()
        writes = site.writes()
        with daemon(site.site):
            site.wait_for_rounds(3)
            assert (site.comment(stays), site.writes()) == (text, writes)
        next(site.site.operator.home.rglob("pull-requests.sqlite")).unlink()
        site.forge.merge(goes)
        with daemon(site.site):
            wait_for_deployment(site.site, 2)
            eventually("it is compared", lambda: bool((site.site.note(2) or {}).get("reviewed")))
            assert site.site.note(2)["reviewed"]["shown"] == shown
            assert site.site.note(2)["reviewed"]["same"] is True


def test_the_trouble_of_one_pull_request_is_its_own(tmp_path: Path) -> None:
    with forge_site("gitea", tmp_path) as site, daemon(site.site):
        wait_for_deployment(site.site, 1)
        forge = site.forge
        locked = site.propose("locked", "orders", RUNS + "# locked\n")
        forge.pulls[locked].locked = True
        forge.commit("broken", {"workflows/orders.yaml": "workflow: [@everyone](https://evil.invalid)\nsteps: {"})
        broken = forge.open("broken")
        forge.commit("bomb", {"gitopsd.yaml": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*a, *a]\n" for c in "bcdefg")})
        bomb = forge.open("bomb")
        forge.commit("conflict", {"files/alerts.sh": "theirs\n"})
        conflict = forge.open("conflict")
        forge.commit("main", {"files/alerts.sh": RUNS + "# ours\n"})
        good = site.propose("good", "orders", RUNS + "# good\n", draft=True)
        assert "`orders.main.0`" in site.wait_for_plan(good)
        assert "workflows/orders.yaml" in site.wait_for_plan(broken, "failure")
        assert "@everyone" not in without_code(site.comment(broken))
        site.wait_for_plan(bomb, "failure")
        assert "files/alerts.sh" in site.wait_for_plan(conflict, "failure")
        eventually("the locked one is said", lambda: f"pull request {locked} could not" in site.site.log.read_text())
        wait_for_deployment(site.site, 2)


def test_forks_are_planned_only_where_that_is_allowed_and_other_branches_not_at_all(tmp_path: Path) -> None:
    with forge_site("gitea", tmp_path) as site, over_a_remote(site) as process:
        wait_for_deployment(site.site, 1)
        forge = site.forge
        forge.fork("mallory")
        forge.commit("theirs", {"files/orders.sh": RUNS + "# theirs\n"}, fork="mallory")
        fork = forge.open("theirs", author="mallory", fork="mallory")
        forge.commit("release", {"files/orders.sh": RUNS + "# release\n"})
        elsewhere = site.propose("into-release", "alerts", RUNS + "# elsewhere\n", base="release")
        ours = site.propose("ours", "orders", RUNS + "# ours\n")
        site.wait_for_plan(ours)
        eventually("it says why not", lambda: "### Not planned\n" in site.comment(fork))
        command = site.comment(fork).partition("```sh\n")[2].partition("\n```")[0].splitlines()
        site.site.operator.git(*command[0].split()[1:])
        assert "theirs" in site.site.operator.run(*command[1].split()[1:]).stdout, "what it says can be done"
        forge.commit("theirs", {"files/orders.sh": RUNS + "# theirs too\n"}, fork="mallory")
        writes = site.writes()
        site.wait_for_rounds(3)
        assert site.writes() == writes, "it is said once, whatever is pushed"

        assert fetched(site) == {str(ours)}
        configure_remote(site, forge={"forks": "plan"})
        process.reload()
        assert "theirs too" in site.wait_for_plan(fork)
        assert "Not planned" not in site.comment(fork)
        assert len(site.comments(fork)) == 1, "the plan takes its place"
        assert str(fork) in fetched(site)

        configure_remote(site)
        process.reload()
        eventually("it says so again", lambda: "### Not planned\n" in site.comment(fork))
        assert "theirs" not in site.comment(fork)
        eventually("its head goes", lambda: str(fork) not in fetched(site))
        assert site.comments(elsewhere) == []


def test_a_pause_shows_in_the_comment_until_it_is_over(tmp_path: Path) -> None:
    with forge_site("gitea", tmp_path) as site, daemon(site.site):
        wait_for_deployment(site.site, 1)
        number = site.propose("later", "orders", RUNS + "# later\n")
        assert "an inventory" not in site.wait_for_plan(number)
        site.site.operator.run("pause", "--reason", "an inventory")
        eventually("the pause shows", lambda: "an inventory" in site.comment(number))
        merged = site.forge.merge(number)
        wait_for_outcome(site.site, "held", merged)
        eventually("so it does after the merge", lambda: site.status(merged, DEPLOY) == "pending")
        assert "waits" in site.comment(number)
        second = site.propose("second", "alerts", RUNS + "# second\n")
        site.wait_for_plan(second)
        newest = site.forge.merge(second)
        site.site.operator.run("resume")
        eventually("both are deployed", lambda: site.status(newest, DEPLOY) == "success")
        eventually("and both told", lambda: site.status(merged, DEPLOY) == "success")
        assert "deployed together with what was merged after it" in site.comment(number)
        assert "It does what is shown here." in site.comment(second), "what waited was shown there too"
        assert len(site.comments(number)) == 1


def test_a_rollback_is_a_pull_request_where_policy_wants_that(tmp_path: Path) -> None:
    with forge_site("gitea", tmp_path, policy={"rollback": "pull-request"}) as site, daemon(site.site):
        operator = site.site.operator
        wait_for_deployment(site.site, 1)
        number = site.propose("worse", "orders", RUNS + "# worse\n")
        site.wait_for_plan(number)
        before = site.forge.merge(number)
        wait_for_deployment(site.site, 2)
        operator.git("pull", "--quiet", "origin", "main")
        ran = operator.run("rollback", "--json").json
        assert ran["written"]
        assert site.forge.repository.head("main") == before, "nothing is pushed to the branch"
        assert operator.run("rollback", "--json").json["pull_request"] == ran["pull_request"], "once"
        assert "`orders.main.0`" in site.wait_for_plan(ran["pull_request"])
        site.forge.merge(ran["pull_request"])
        wait_for_deployment(site.site, 3)
        assert "return to deployment 1" in operator.run("show", "3").stdout.lower()


def without_code(text: str) -> str:
    """Without blocks of code, in which nothing means anything."""
    return "".join(text.split("```")[::2])


@contextmanager
def over_a_remote(site: ForgeSite) -> Iterator[Daemon]:
    """A daemon that has a clone of the forge's repository."""
    configure_remote(site)
    with daemon(site.site) as process:
        yield process


def configure_remote(site: ForgeSite, **more: object) -> None:
    site.configure(repository=f"file://{site.site.bare}", **more)


def fetched(site: ForgeSite) -> set[str]:
    """The numbers of the pull requests whose heads are in the clone."""
    return {one.name for one in site.site.operator.home.rglob("gitopsd-pull-requests/*")}
