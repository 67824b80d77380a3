"""Whoever pushed a version follows it until it came to its end."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.broadcast import Broadcast
from gitopsd.daemon.controller.control_socket.following import Following
from gitopsd.daemon.controller.control_socket.protocol import Done, FollowVersion, Leader, Told
from gitopsd.daemon.controller.reporting import Here

if TYPE_CHECKING:
    from gitopsd.daemon.controller.environment import EnvironmentLoops
    from gitopsd.daemon.controller.looker import Looker

OLD, PUSHED, NEWER = "a" * 40, "b" * 40, "c" * 40
LEADER = Leader(repository="r", socket="s", environments=(), pid=1, version="0", since="")


def test_a_look_that_began_before_the_push_says_nothing_of_it_in_any_environment() -> None:
    loops = {
        name: cast("EnvironmentLoops", SimpleNamespace(deployer=SimpleNamespace(outcome=None)))
        for name in ("production", "staging")
    }
    seen, asked, broadcast = SimpleNamespace(newest=OLD), [0], Broadcast()

    def tell_looked(at: float) -> None:
        for name in loops:
            broadcast.tell(events.Looked(environment=name, at=at, source=seen.newest, head=""))

    def look() -> None:
        asked[0] += 1
        if asked[0] == 1:  # what answers it was under way already
            tell_looked(1.0)

    following = Following(lambda: LEADER, lambda: loops, broadcast, look=look, seen=cast("Looker", seen))
    answers = following.respond(FollowVersion(repository="r", source=PUSHED))
    assert [next(answers), next(answers)] == [None, None]
    seen.newest = NEWER
    tell_looked(2.0)
    assert next(answers) is None, "one look is told for each environment, and still is one"
    assert next(answers) == Done(), "it was superseded"
    assert asked == [2]


def test_who_asks_late_is_told_the_whole_story_though_its_end_was_planned_again() -> None:
    broadcast, where = Broadcast(), Here(environment="production", at=1.0)
    settled = events.Settled(**where, source=PUSHED, head="h3", deployment=3)
    story: list[events.Event] = [
        events.Planning(**where, source=PUSHED),
        events.Committed(
            **where, source=PUSHED, head="h2", deployment=2, trigger="push", subject="s", author="a", workers=()
        ),
        events.Reverted(**where, failed=2, by=3, head="h3", quarantines={}),
        events.Converged(**where, head="h3", deployment=3, request=1),
    ]
    for event in (*story, events.Planning(**where, source=PUSHED), settled):
        broadcast.tell(event)
    loops = cast("EnvironmentLoops", SimpleNamespace(deployer=SimpleNamespace(outcome=settled)))
    seen = cast("Looker", SimpleNamespace(newest=PUSHED))
    following = Following(lambda: LEADER, lambda: {"production": loops}, broadcast, look=lambda: None, seen=seen)
    answers = list(following.respond(FollowVersion(repository="r", source=PUSHED)))
    assert answers == [*(Told(event=event) for event in story), Done()]
