"""Which pull request a version came from, and how often a forge is asked for that."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gitopsd.daemon.controller.pull_requests.comment_parts import with_shown
from gitopsd.daemon.controller.pull_requests.reviews import AGAIN_SECONDS, LATE_SECONDS, Reviews
from gitopsd.daemon.controller.pull_requests.situation import Situation
from gitopsd.daemon.pull_requests.shown import Review, Shown, ShownMemory
from gitopsd.forge.connect import connect
from gitopsd.forge.forge import Forge
from gitopsd.planner.comment.comment import marker
from tests.forge.conftest import AT_ONCE
from tests.forge.standin import Standin, forge_standin

EFFECTS = "c" * 40


@dataclass(kw_only=True)
class Desk:
    """`found` are the environments of which something new was known."""

    standin: Standin
    forge: Forge
    now: float = 1_000_000.0
    found: list[str] = field(default_factory=list)
    memory: ShownMemory = field(default_factory=lambda: ShownMemory("a repository"))

    def __post_init__(self) -> None:
        self.reviews = Reviews(self.memory, self.found.append, clock=lambda: self.now)

    def review(self, source: str, base: str = "") -> Review:
        situation = Situation(base=base or source, branch="main", environments={}, heads={}, digests={})
        return self.reviews.of(self.forge, situation, "local", source)

    @property
    def asked(self) -> int:
        return len(self.standin.asked("GET", "/pull"))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with (
        forge_standin("gitea", tmp_path / "forge") as standin,
        closing(connect("gitea", standin.name, standin.url, standin.token, AT_ONCE)) as forge,
    ):
        yield Desk(standin=standin, forge=forge)


def merged(desk: Desk, *, shown: str = "") -> tuple[int, str]:
    head = desk.standin.commit("feature", {"a": "1"})
    number = desk.standin.open("feature")
    mark = marker("local")
    if shown:
        desk.forge.upsert_comment(number, mark, with_shown(f"{mark}\nthe plan\n", head, shown))
    return number, desk.standin.merge(number)


def test_what_was_shown_is_had_from_memory_or_else_from_the_comment(desk: Desk) -> None:
    number, source = merged(desk, shown=EFFECTS)
    assert desk.review(source).effects == EFFECTS
    assert desk.found == ["local"]
    asked = desk.asked
    assert desk.review(source).pull_request == number
    assert desk.asked == asked, "what is known isn't asked again"
    desk.memory.show(number, "other", Shown(head="a" * 40, effects="d" * 40, jobs={"w j": "1"}))
    situation = Situation(base=source, branch="main", environments={}, heads={}, digests={})
    assert desk.reviews.of(desk.forge, situation, "other", source).jobs == {"w j": "1"}


def test_a_comment_of_somebody_else_is_not_what_was_shown(desk: Desk) -> None:
    head = desk.standin.commit("feature", {"a": "1"})
    number = desk.standin.open("feature")
    desk.standin.comment(number, "mallory", with_shown(f"{marker('local')}\nthe plan\n", head, EFFECTS))
    source = desk.standin.merge(number)
    assert desk.review(source) == Review(pull_request=number, at=desk.now)


def test_a_forge_that_is_late_is_asked_again_for_a_while_and_not_without_pause(desk: Desk) -> None:
    source = desk.standin.commit("main", {"a": "pushed"})
    for _ in range(3):
        assert desk.review(source).pull_request == 0
    assert desk.asked == 1
    desk.now += AGAIN_SECONDS
    desk.review(source)
    assert desk.asked == 2
    desk.now += LATE_SECONDS
    desk.review(source)
    assert desk.asked == 2
    assert desk.found == ["local"], "nothing new was found out since the first answer"


def test_a_version_of_before_is_asked_about_once(desk: Desk) -> None:
    source = desk.standin.commit("main", {"a": "pushed"})
    newest = desk.standin.commit("main", {"a": "again"})
    for _ in range(3):
        desk.review(source, base=newest)
        desk.now += AGAIN_SECONDS
    assert desk.asked == 1
