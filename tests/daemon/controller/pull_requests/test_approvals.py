"""`policy.require_approval`: an approval is for the head and the plan that were shown when it was given."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from gitopsd.daemon.controller.pull_requests.approvals import approved
from gitopsd.daemon.pull_requests.shown import Shown
from gitopsd.forge.connect import connect
from gitopsd.forge.forge import Approval, Forge, ForgeKind
from gitopsd.planner.comment.comment import marker
from tests.daemon.controller.daemon_process import daemon, wait_for_deployment
from tests.daemon.controller.pull_requests.forge_site import DEPLOY, RUNS, ForgeSite, forge_site
from tests.daemon.controller.pull_requests.test_story import eventually_held
from tests.forge.conftest import AT_ONCE
from tests.forge.standin import Standin, forge_standin
from tests.operator import eventually

KINDS: tuple[ForgeKind, ...] = ("github", "gitlab", "gitea")
APPROVAL = "gitopsd/approval/local"
MARK = marker("local")


@dataclass(kw_only=True)
class Proposal:
    """A pull request on a stand-in, and what it shows."""

    standin: Standin
    forge: Forge
    number: int = 0
    shown: Shown = field(default_factory=lambda: Shown(head=""))

    def push(self, text: str) -> None:
        self.standin.commit("feature", {"a": text})
        self.number = self.number or self.standin.open("feature")

    def show(self, effects: str) -> None:
        head = self.standin.pulls[self.number].head
        at = self.forge.upsert_comment(self.number, MARK, f"{MARK}\n{head} {effects}")
        assert at is not None
        self.shown = Shown(head=head, effects=effects * 40, since=at.timestamp())

    def judge(self) -> tuple[tuple[str, ...], str]:
        pull_request = self.forge.pull_request(self.number)
        found = approved(self.forge.approvals(pull_request), pull_request.head_commit, self.shown)
        return found.by, found.void


@pytest.fixture(params=KINDS)
def proposal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proposal]:
    with (
        forge_standin(request.param, tmp_path) as standin,
        closing(connect(request.param, standin.name, standin.url, standin.token, AT_ONCE)) as forge,
    ):
        made = Proposal(standin=standin, forge=forge)
        made.push("one")
        made.show("1")
        yield made


def test_an_approval_counts_for_what_was_shown_when_it_was_given(proposal: Proposal) -> None:
    assert proposal.judge() == ((), "")
    proposal.standin.approve(proposal.number, "linus")
    assert proposal.judge() == (("linus",), "")
    proposal.standin.dismiss(proposal.number, "linus")
    assert proposal.judge() == ((), "")


def test_a_push_makes_it_void_and_so_does_another_plan_of_the_same_head(proposal: Proposal) -> None:
    first = proposal.standin.pulls[proposal.number].head
    proposal.standin.approve(proposal.number, "linus")
    proposal.push("two")
    pushed = (f"linus approved {first[:12]}, before the last push",)
    assert proposal.judge() == ((), *pushed)
    proposal.standin.approve(proposal.number, "grace")
    by, void = proposal.judge()
    assert by == (), "she saw what the head before does"
    assert "grace approved it before a plan of the last push was shown" in void
    proposal.show("2")
    proposal.standin.approve(proposal.number, "grace")
    assert proposal.judge() == (("grace",), *pushed)
    proposal.show("3")
    assert proposal.judge() == ((), f"grace approved another plan than is shown now; {pushed[0]}")


def test_where_nothing_is_known_of_when_no_approval_counts() -> None:
    shown = Shown(head="a" * 40, effects="b" * 40, since=1.0)
    given = Approval(author="linus", commit="", valid=True)
    assert "doesn't tell when" in approved([given], shown.head, shown).void
    many = [replace(given, author=f"reviewer-{number}") for number in range(9)]
    assert approved(many, shown.head, shown).void.endswith("; and 6 more")
    assert approved([replace(given, valid=False)], shown.head, shown).void == ""


def test_only_what_somebody_approved_as_it_is_shown_is_deployed_by_itself(tmp_path: Path) -> None:
    with forge_site("gitlab", tmp_path, policy={"require_approval": ["local"]}) as site, daemon(site.site):
        eventually_held(site, site.forge.repository.head("main"), "came without a pull request")
        site.site.operator.run("apply")
        wait_for_deployment(site.site, 1)
        number = site.propose("better", "orders", RUNS + "# better\n")
        site.wait_for_plan(number)
        wait_for_approval(site, number, "pending", "nobody approved this plan yet")
        site.forge.approve(number, "linus")
        wait_for_approval(site, number, "success", "approved by linus")

        site.forge.commit("better", {"files/orders.sh": RUNS + "# better still\n"})
        site.wait_for_plan(number)
        wait_for_approval(site, number, "pending", "before the last push")
        site.forge.approve(number, "linus")
        wait_for_approval(site, number, "success", "approved by linus")

        site.forge.commit("main", {"files/alerts.sh": RUNS + "# pushed past review\n"})
        wait_for_approval(site, number, "pending", "linus approved another plan than is shown now")
        writes = site.writes()
        site.wait_for_rounds(2)
        assert site.writes() == writes, "nothing moved, so nothing is written"

        merged = site.forge.merge(number)
        reasons = eventually_held(site, merged, f"nobody approved what pull request {number} showed last")
        assert "linus approved another plan than is shown now" in reasons
        eventually("its pull request says so", lambda: "nobody approved" in site.comment(number))
        assert max(site.site.deployments()) == 1

        site.forge.approve(number, "linus")
        wait_for_deployment(site.site, 2)
        eventually("the outcome is told", lambda: site.status(merged, DEPLOY) == "success")
        assert "It does what is shown here." in site.comment(number)


def wait_for_approval(site: ForgeSite, number: int, state: str, words: str) -> None:
    def newest() -> tuple[str, str]:
        found = site.statuses(site.forge.pulls[number].head, APPROVAL)
        return (found[-1].state, found[-1].description) if found else ("", "")

    eventually(f"{words} ({state})", lambda: newest()[0] == state and words in newest()[1])
