"""What keeps a version from being deployed: one place for every path, and what is deployed in its stead."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gitopsd import __version__
from gitopsd.daemon.artifacts.control import moment
from gitopsd.daemon.configuration.configuration import Configuration, PolicyConfiguration, WindowConfiguration
from gitopsd.daemon.deploying.committing import Applied, commit_version
from gitopsd.daemon.deploying.writing import write_version
from gitopsd.daemon.errors import StalePlanError
from gitopsd.daemon.holds.asked import BY_A_PERSON, Asked, KeepAt
from gitopsd.daemon.holds.holds import HeldError, holds_of
from gitopsd.daemon.holds.pausing import pause_environment, resume_environment
from gitopsd.daemon.holds.version_hold import NotTheHeadError
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.plan import Plan, Upgrade
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import record, three_machines
from tests.daemon.two_workflows import head_of, went

PUSHED = Asked(trigger="push")
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Reporter:
    def __init__(self) -> None:
        self.plans: list[Planned] = []

    def planned(self, planned: Planned) -> None:
        self.plans.append(planned)

    def note(self, message: str) -> None: ...


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Deployed once, and then there is a newer version."""
    found = three_machines(tmp_path / "repository")
    apply(found)
    found.commit({"workflows/orders.yaml": workflow("orders", 3, path="b")}, "newer")
    return found


def apply(
    repository: Deployments,
    revision: str | None = None,
    *,
    asked: Asked = BY_A_PERSON,
    workspace: Workspace | None = None,
    expected: Plan | None = None,
    reporter: Reporter | None = None,
) -> Applied:
    """What `gitopsd apply` commits, or the daemon; no worker is reached."""
    workspace = workspace or repository.workspace()
    return commit_version(
        workspace,
        lambda: workspace.source_of_commit(revision),
        named=revision is not None,
        expected=expected,
        asked=asked,
        reporter=reporter or Reporter(),
    )


def deployed(repository: Deployments) -> str:
    head = head_of(repository)
    assert head.deployment is not None
    assert head.deployment.trailers is not None
    return head.deployment.trailers.source_commit


def with_policy(repository: Deployments, **policy: Any) -> Workspace:
    configuration = Configuration(policy=PolicyConfiguration(**policy))
    return replace(repository.workspace(), configuration=configuration)


def open_now(kind: Any = "deny", **other: Any) -> WindowConfiguration:
    """A window that opened ten minutes ago and closes in fifty."""
    begun = datetime.now(UTC) - timedelta(minutes=10)
    schedule = f"{begun.minute} {begun.hour} {begun.day} {begun.month} *"
    return WindowConfiguration(kind=kind, schedule=schedule, duration="1h", **other)


def at_main(repository: Deployments, revision: str = "main") -> str:
    return repository.repo.git("rev-parse", revision)


def test_a_version_that_is_not_the_head_takes_a_hold_with_a_reason(repository: Deployments) -> None:
    apply(repository)
    with pytest.raises(NotTheHeadError, match="is not the head of the source branch"):
        apply(repository, "main~1")
    assert deployed(repository) == at_main(repository)
    apply(repository, at_main(repository))
    reporter = Reporter()
    apply(repository, "main~1", asked=Asked(keep_at=KeepAt(reason="incident 12")), reporter=reporter)
    assert len(reporter.plans) == 1, "it is shown once"
    assert deployed(repository) == at_main(repository, "main~1")
    kept = record(repository)["hold"]
    assert (kept["commit"], kept["reason"], kept["owner"]) == (
        at_main(repository, "main~1"), "incident 12", "Ada <ada@example.org>",
    )  # fmt: skip


def test_whatever_deploys_by_itself_deploys_the_version_that_is_held(repository: Deployments) -> None:
    apply(repository, "main~1", asked=Asked(keep_at=KeepAt(reason="incident 12")))
    before = head_of(repository).commit.id
    assert not apply(repository, asked=PUSHED).committed
    assert head_of(repository).commit.id == before
    repository.commit({"workflows/orders.yaml": "no workflow at all"}, "broken")
    assert not apply(repository, asked=PUSHED).committed, "a head that doesn't compile keeps nothing from it"
    repository.repo.git("reset", "-q", "--hard", "HEAD~1")
    resume_environment(repository.workspace())
    apply(repository, asked=PUSHED)
    assert deployed(repository) == at_main(repository)


def test_what_was_held_and_not_yet_deployed_is(repository: Deployments) -> None:
    """As after a crash between the two commits."""
    apply(repository)
    held = at_main(repository, "main~1")
    with pytest.raises(HeldError):
        apply(
            repository,
            held,
            asked=Asked(keep_at=KeepAt(reason="incident 12")),
            workspace=with_policy(repository, windows=(open_now(),)),
        )
    assert not repository.repo.git("ls-tree", "rendered/production", "control.json"), "what holds it comes first"
    apply(repository, held, asked=Asked(keep_at=KeepAt(reason="incident 12")))
    repository.repo.git("update-ref", "refs/heads/rendered/production", "rendered/production~1")
    assert deployed(repository) == at_main(repository)
    apply(repository, asked=PUSHED)
    assert deployed(repository) == held


def test_a_person_has_to_end_a_hold_or_move_it(repository: Deployments) -> None:
    apply(repository, "main~1", asked=Asked(keep_at=KeepAt(reason="incident 12")))
    for revision in (None, "main"):
        with pytest.raises(HeldError, match=r"held at .* by Ada .*: incident 12"):
            apply(repository, revision)
    assert not apply(repository, "main~1").committed, "the version that it is held at may be applied again"
    apply(repository, asked=Asked(keep_at=KeepAt(reason="freeze at this one")))
    assert deployed(repository) == record(repository)["hold"]["commit"] == at_main(repository)


def test_a_hold_that_is_over_keeps_nothing(repository: Deployments) -> None:
    over = moment(datetime.now(UTC) + timedelta(seconds=-1))
    apply(repository, "main~1", asked=Asked(keep_at=KeepAt(reason="for a moment", until=over)))
    apply(repository, asked=PUSHED)
    assert deployed(repository) == at_main(repository)
    assert "hold" not in record(repository)


def test_a_plan_of_what_is_no_longer_the_head_is_stale(repository: Deployments) -> None:
    plan = repository.plan(revision="main").plan
    shown = at_main(repository)
    repository.commit({"workflows/orders.yaml": workflow("orders", 3, path="c")}, "newest")
    with pytest.raises(StalePlanError, match="is not the head of the source branch"):
        apply(repository, shown, expected=plan)
    apply(repository, shown, expected=plan, asked=Asked(keep_at=KeepAt(reason="this very one")))
    assert deployed(repository) == shown


def test_a_window_holds_new_versions_and_only_a_person_goes_on_all_the_same(repository: Deployments) -> None:
    workspace = with_policy(repository, windows=(open_now(),))
    before = head_of(repository).commit.id
    for asked in (PUSHED, Asked(), Asked(despite_pause=True, confirm_deletes=True, upgrade=True)):
        with pytest.raises(HeldError, match=r"new versions are held until .* by the window") as refusal:
            apply(repository, asked=asked, workspace=workspace)
        assert "--despite-window" in refusal.value.hint
        assert refusal.value.hold.until > moment()
    assert head_of(repository).commit.id == before
    apply(repository, asked=Asked(despite_window=True), workspace=workspace)
    assert deployed(repository) == at_main(repository)


@pytest.mark.parametrize("other", [{"environments": ("staging",)}, {"groups": ("core",)}, {"kind": "allow"}])
def test_windows_about_something_else_hold_nothing(repository: Deployments, other: dict[str, Any]) -> None:
    windows = (open_now(**other), open_now("allow"))
    assert apply(repository, asked=PUSHED, workspace=with_policy(repository, windows=windows)).committed


def test_a_version_that_changes_no_release_is_recorded_in_a_window_too(repository: Deployments) -> None:
    apply(repository)
    repository.commit({"blueprints/unused.yaml": {"blueprint": "unused", "job": {"exec": ["/bin/true"]}}}, "unused")
    workspace = with_policy(repository, windows=(open_now(),))
    apply(repository, asked=PUSHED, workspace=workspace)


def test_all_that_holds_is_told_in_one_list(repository: Deployments) -> None:
    pause_environment(repository.workspace(), reason="audit", until="2099-01-06T00:00:00Z")
    apply(repository, "main~1", asked=Asked(keep_at=KeepAt(reason="incident 12"), despite_pause=True))
    windows = (WindowConfiguration(kind="deny", schedule="0 8 * * 1-5", duration="10h"),)
    workspace = with_policy(repository, windows=windows)
    found = holds_of(workspace, head_of(repository), NOW)
    assert [(one.kind, one.reason, one.until) for one in found] == [
        ("pause", "audit", "2099-01-06T00:00:00Z"),
        ("hold", "incident 12", ""),
        ("window", "the window `deny 0 8 * * 1-5` for 10h (UTC)", "2026-01-05T18:00:00Z"),
    ]
    assert all(one.owner and one.way_out and one.reason in one.sentence for one in found)
    later = holds_of(workspace, head_of(repository), NOW + timedelta(days=1, hours=8))
    assert [one.kind for one in later] == ["pause", "hold"]
    assert [one.kind for one in holds_of(workspace, None, NOW)] == ["window"], "before the first deployment"


def deploy_upgrade(repository: Deployments) -> None:
    """The newest version, as if another gitopsd made it of the one that was deployed."""
    planned = repository.plan(revision="main")
    upgrade = Upgrade(before="0.0.1", after=__version__)
    plan = structs.replace(planned.plan, upgrade=upgrade)
    write_version(repository.workspace(), replace(planned, upgrades_from="0.0.1", plan=plan), PUSHED)


def test_a_new_version_waits_for_the_end_of_an_upgrade_and_what_is_away_keeps_nothing(repository: Deployments) -> None:
    deploy_upgrade(repository)
    apply(repository, asked=PUSHED)  # the same version: nothing is to be deployed
    repository.commit({"workflows/orders.yaml": workflow("orders", 3, path="c")}, "newest")
    with pytest.raises(HeldError, match="deployment 2, is not rolled out yet"):
        apply(repository, asked=PUSHED)
    went(repository, failed={"edge-2": ["orders.read.0"]})
    with pytest.raises(HeldError, match="deployment 2, failed on edge-2"):
        apply(repository, asked=PUSHED)
    went(repository, away=["edge-3"])
    apply(repository, asked=PUSHED)
    assert deployed(repository) == at_main(repository)


def test_a_person_waits_for_no_upgrade(repository: Deployments) -> None:
    deploy_upgrade(repository)
    repository.commit({"workflows/orders.yaml": workflow("orders", 3, path="c")}, "newest")
    apply(repository)
    assert deployed(repository) == at_main(repository)


def test_a_plan_that_deletes_much_is_among_what_holds(repository: Deployments) -> None:
    repository.write({"workflows/alerts.yaml": workflow("alerts", 3)})
    repository.repo.git("rm", "-q", "workflows/orders.yaml")
    repository.commit(message="a slip")
    planned = repository.plan()
    found = holds_of(repository.workspace(), head_of(repository), NOW, planned)
    assert [one.kind for one in found] == ["deletes"]
    with pytest.raises(HeldError, match="the plan is held: it deletes"):
        apply(repository, asked=PUSHED)
    apply(repository, asked=Asked(confirm_deletes=True))
