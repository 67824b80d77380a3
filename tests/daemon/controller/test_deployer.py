"""The loop that commits, cycle by cycle: which version it deploys, and what it says of one that it doesn't."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitopsd.daemon.artifacts.control import moment
from gitopsd.daemon.configuration.configuration import Configuration, PolicyConfiguration, WindowConfiguration
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.control_socket.following import _Way
from gitopsd.daemon.controller.deployer import Deployer
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.reporting import PlanEvents
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.deploying.committing import commit_version
from gitopsd.daemon.holds.asked import Asked, KeepAt
from gitopsd.daemon.holds.pausing import pause_environment
from gitopsd.daemon.workers.cordons import cordon_worker
from gitopsd.daemon.workspace import Workspace
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import BRANCH, record, three_machines
from tests.daemon.two_workflows import head_of


@dataclass(slots=True)
class Daemon:
    """Its deploying loop alone, without threads."""

    repository: Deployments
    workspace: Workspace
    told: list[events.Event] = field(default_factory=list)
    deployer: Deployer = field(init=False)

    def __post_init__(self) -> None:
        self.deployer = Deployer(
            BRANCH,
            lambda: self.workspace,
            Troubles("test", "production", "deploy"),
            self.told.append,
            newest=lambda: self.at("main"),
            pin=lambda: "",
            generation=lambda: 1,
            committed=lambda: None,
        )

    def cycle(self) -> float:
        return self.deployer.cycle(Taken(number=1, asked=True), Heart(lambda _: None, 10.0))

    def at(self, revision: str) -> str:
        return self.repository.repo.git("rev-parse", revision)

    def committed(self) -> events.Committed:
        return [event for event in self.told if isinstance(event, events.Committed)][-1]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    repository = three_machines(tmp_path / "repository")
    found = Daemon(repository, repository.workspace())
    found.cycle()
    yield found
    found.workspace.close()


def push(daemon: Daemon, to: str) -> str:
    return daemon.repository.commit({"workflows/orders.yaml": workflow("orders", 3, path=to)}, to)


def hold(daemon: Daemon, revision: str, until: str = "") -> None:
    commit_version(
        daemon.workspace,
        lambda: daemon.workspace.source_of_commit(revision),
        named=True,
        asked=Asked(keep_at=KeepAt(reason="incident 12", until=until)),
        reporter=PlanEvents("production", lambda _: None),
    )


def test_what_was_pushed_meanwhile_is_superseded_by_the_newest(daemon: Daemon) -> None:
    skipped = push(daemon, "b")
    newest = push(daemon, "c")
    daemon.cycle()
    assert (daemon.committed().source, daemon.committed().trigger) == (newest, "push")
    assert daemon.committed().superseded == (skipped,)


def test_a_hold_at_another_version_is_what_became_of_the_newest(daemon: Daemon) -> None:
    first = daemon.at("main")
    push(daemon, "b")
    hold(daemon, first)
    head = head_of(daemon.repository).commit.id
    for _ in range(2):
        daemon.cycle()
        outcome = daemon.deployer.outcome
        assert isinstance(outcome, events.Held)
        assert "incident 12" in outcome.reasons[0]
        push(daemon, "c")
    assert head_of(daemon.repository).commit.id == head
    assert not any(isinstance(event, events.Settled) for event in daemon.told), "nobody is told that it is deployed"


def test_once_a_hold_is_over_the_newest_version_is_deployed(daemon: Daemon) -> None:
    first = daemon.at("main")
    newest = push(daemon, "b")
    hold(daemon, first, moment(datetime.now(UTC) + timedelta(seconds=60)))
    assert daemon.cycle() <= 62, "it looks again when the hold ends"
    assert isinstance(daemon.deployer.outcome, events.Held)
    hold(daemon, first, moment(datetime.now(UTC) + timedelta(seconds=1)))
    deadline = time.monotonic() + 60
    while not isinstance(daemon.deployer.outcome, events.Committed):
        assert time.monotonic() < deadline
        time.sleep(min(0.2, daemon.cycle()))
    assert daemon.committed().source == newest


def test_a_cordon_that_is_over_is_ended_and_what_follows_is_no_push(daemon: Daemon) -> None:
    cordon_worker(daemon.workspace, "edge-1", reason="repairs", until="", drained=True)
    daemon.cycle()
    assert daemon.committed().trigger == "facts"
    cordon_worker(
        daemon.workspace, "edge-1", reason="repairs, soon over", until=moment(datetime.now(UTC)), drained=True
    )
    daemon.cycle()
    assert record(daemon.repository)["cordons"] == {}


def test_an_artifact_branch_that_is_gone_is_not_begun_anew(daemon: Daemon) -> None:
    daemon.cycle()
    head = head_of(daemon.repository).commit.id
    daemon.repository.repo.git("update-ref", "-d", BRANCH.ref)
    push(daemon, "b")
    daemon.cycle()
    outcome = daemon.deployer.outcome
    assert isinstance(outcome, events.Refused)
    assert f"git update-ref {BRANCH.ref} {head}" in outcome.hint
    daemon.repository.repo.git("update-ref", BRANCH.ref, head)
    daemon.cycle()
    assert daemon.committed().deployment == 2


def test_a_cycle_that_ends_with_what_nobody_thought_of_is_what_became_of_the_version(daemon: Daemon) -> None:
    daemon.deployer.failed(Taken(number=1, asked=True), "No space left on device")
    outcome = daemon.deployer.outcome
    assert isinstance(outcome, events.Refused)
    assert (outcome.source, outcome.error) == (daemon.at("main"), "No space left on device")


def test_what_ended_during_a_pause_is_not_looked_at_every_second(daemon: Daemon) -> None:
    soon = moment(datetime.now(UTC) + timedelta(seconds=1))
    cordon_worker(daemon.workspace, "edge-1", reason="repairs", until=soon, drained=False)
    pause_environment(daemon.workspace, reason="an inventory", until="")
    time.sleep(max(0.0, datetime.fromisoformat(soon).timestamp() - time.time()))
    assert daemon.cycle() > 60
    assert isinstance(daemon.deployer.outcome, events.Held)


def test_a_window_says_until_when_and_is_looked_at_again_then(daemon: Daemon) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=10)  # by a schedule's minutes, and it goes on for at least one more
    schedule = f"{begun.minute} {begun.hour} {begun.day} {begun.month} *"
    window = WindowConfiguration(kind="deny", schedule=schedule, duration="12m")
    policy = PolicyConfiguration(windows=(window,))
    daemon.workspace = replace(daemon.workspace, configuration=Configuration(policy=policy))
    push(daemon, "b")
    assert daemon.cycle() <= 122
    outcome = daemon.deployer.outcome
    assert isinstance(outcome, events.Held)
    assert outcome.until > moment()
    assert "deny" in outcome.reasons[0]


def test_who_follows_a_version_is_not_sent_away_by_the_upgrade_before_it() -> None:
    way = _Way("b" * 40)
    assert way.concerns(events.Planning(environment="production", at=0.0, source="b" * 40))
    upgrade = events.Committed(
        environment="production", at=0.0, source="a" * 40, head="c" * 40, deployment=2, trigger="upgrade", subject="",
        author="", workers=(),
    )  # fmt: skip
    assert way.concerns(upgrade)
    assert not way.is_over
