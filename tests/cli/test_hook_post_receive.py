"""Real pushes to a repository with hooks, and what whoever pushes sees of the deployment that the controller tells."""

import threading
from collections.abc import Callable, Iterator

import pytest

from gitopsd.daemon.controller.control_socket.protocol import Answer, Done, FollowVersion, Told
from gitopsd.daemon.controller.events import Committed, Event, RolloutBegan, RolloutEnded, WorkerEnded
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.repo.location import path_identity
from tests.cli.pushing import Following, Pusher, folded, pusher, told_controller
from tests.operator import DEADLINE, Operator

WORKER = WorkerResult(worker="local-1", state="converged", touched={"started": ("roundtrip.collect.0",)})


def deployment(source: str) -> Iterator[Event]:
    names = ("local-1",)
    yield Committed(
        environment="local", at=1.0, source=source, head="d" * 40, deployment=7, trigger="push", subject="Change",
        author="Ada", workers=names,
    )  # fmt: skip
    yield RolloutBegan(environment="local", at=2.0, deployment=7, workers=names)
    yield WorkerEnded(environment="local", at=3.0, deployment=7, result=WORKER)
    yield RolloutEnded(environment="local", at=4.0, deployment=7, rollout=Rollout(results=(WORKER,)), seconds=2.0)


def silent(tell: Callable[[Answer], None]) -> None:
    del tell


@pytest.fixture
def ada(operator: Operator) -> Pusher:
    return pusher(operator)


def test_without_a_controller_the_push_is_done_and_says_how_to_deploy(ada: Pusher) -> None:
    pushed = ada.push("main")
    assert "gitopsd: not deployed from here: no controller of this machine" in folded(pushed.remote)
    assert "`gitopsd apply` deploys it" in pushed.remote
    assert ada.head()


def test_a_deployment_is_told_line_by_line_as_it_goes(ada: Pusher) -> None:
    seen = threading.Event()

    def tell(say: Callable[[Answer], None]) -> None:
        first, *more = deployment("")
        say(Told(event=first))
        assert seen.wait(DEADLINE)
        for event in more:
            say(Told(event=event))
        say(Done())

    with told_controller(ada.bare, tell) as controller:
        push = Following(ada, "main")
        push.until_said("local: deployment 7 committed (dddddddddddd)")
        assert "converged" not in push.remote
        seen.set()
        assert push.end() == 0, push.remote
    commit = ada.head()
    assert controller.requests == [FollowVersion(repository=path_identity(ada.bare), source=commit)]
    assert push.remote.split("\n")[-4:] == [
        f"gitopsd: deploying main at {commit[:12]}; Ctrl-C ends only this report",
        "local: deployment 7 committed (dddddddddddd)",
        "  local-1: converged (1 started)",
        "local: deployment 7: 1 converged",
    ]


def test_only_what_is_deployed_is_asked_for(ada: Pusher) -> None:
    with told_controller(ada.bare, silent) as controller:
        ada.push("main:refs/heads/proposal", "main:refs/heads/rendered/local")
        ada.operator.git("tag", "v1")
        ada.push("v1")
        assert controller.requests == []
        ada.edit("gitopsd.yaml", "fleet:", "pin: v1\n    fleet:")
        ada.push("main")
        ada.operator.git("tag", "--force", "v1")
        ada.push("--force", "v1")
    followed = FollowVersion(repository=path_identity(ada.bare), source=ada.head())
    assert controller.requests == [followed, followed]


def test_whoever_goes_away_is_no_trouble_for_the_controller(ada: Pusher) -> None:
    gone = threading.Event()

    def tell(say: Callable[[Answer], None]) -> None:
        say(Told(event=next(deployment(""))))
        assert gone.wait(DEADLINE)

    with told_controller(ada.bare, tell) as controller:
        push = Following(ada, "main")
        push.until_said("deployment 7 committed")
        push.leave()
        assert ada.head()
        gone.set()
        assert controller.left.wait(DEADLINE)


def test_a_controller_that_says_nothing_keeps_nobody_longer_than_the_deadline(
    operator: Operator,
) -> None:
    ended = threading.Event()

    def tell(say: Callable[[Answer], None]) -> None:
        del say
        ended.wait(DEADLINE)

    ada = pusher(operator, "--deadline", "1s")
    with told_controller(ada.bare, tell):
        pushed = ada.push("main")
        ended.set()
    assert "gitopsd: the controller isn't done yet, and goes on" in pushed.remote
    assert ada.head()


def test_what_keeps_the_controller_from_it_is_said(ada: Pusher) -> None:
    def tell(say: Callable[[Answer], None]) -> None:
        say(Done(problem="this controller leads another repository", hint="start one for it"))

    with told_controller(ada.bare, tell):
        pushed = ada.push("main")
    assert "gitopsd: this controller leads another repository\n  hint: start one for it" in pushed.remote
