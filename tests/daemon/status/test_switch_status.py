"""What is shown of an activation on trial, and of one that was undone."""

import pytest

from gitopsd.daemon.status.next_action import next_action, next_attempt
from gitopsd.daemon.status.status import WorkerStatus
from gitopsd.daemon.status.switch_status import RolledBack, Unconfirmed, rolled_back, unconfirmed
from gitopsd.model.facts import Observation, RolledBackTo, Switch
from gitopsd.planner.drift import Drift

OLD, NEW, TOKEN = "a" * 40, "b" * 40, "confirm-me"
OUT_OF_SYNC = (Drift(kind="out-of-sync", subject="", detail="it holds another release"),)


def seen(release: str | None = OLD, *, switch: Switch | None = None, undone: RolledBackTo | None = None) -> Observation:
    return Observation(
        owner=None,
        release=release,
        tree=release,
        units={},
        applied={},
        completed=(),
        releases=(),
        interrupted=False,
        switch=switch,
        rolled_back=undone,
    )


def status(*, unconfirmed: Unconfirmed | None = None, rolled_back: RolledBack | None = None) -> WorkerStatus:
    return WorkerStatus(
        worker="edge-1",
        group="edge",
        desired=NEW,
        last_attempted=None,
        running=OLD,
        last_good=1,
        reachable=True,
        error="",
        drift=(),
        leaving=False,
        cordon=None,
        pause=None,
        unconfirmed=unconfirmed,
        rolled_back=rolled_back,
    )


def test_what_was_undone_is_told_with_when_and_why_where_it_is_what_the_worker_should_hold() -> None:
    undone = RolledBackTo(release=NEW, to=OLD, at=1e9, reason="nobody confirmed it within 30 s", token=TOKEN)
    found = rolled_back(seen(undone=undone), NEW)
    assert str(found) == (
        f"rolled itself back at 2001-09-09T01:46:40Z, from {NEW[:12]} to {OLD[:12]}: nobody confirmed it within 30 s"
    )
    assert rolled_back(seen(undone=undone), OLD) is None, "after a revert it is history"
    assert rolled_back(None, NEW) is None
    first = rolled_back(seen(None, undone=RolledBackTo(release=NEW, to=None, at=1e9, reason="x")), NEW)
    assert "to nothing at all" in str(first)


@pytest.mark.parametrize(
    ("phase", "left", "said"),
    [
        ("waiting", 12.4, f"returns to {OLD[:12]} by itself in 12 s"),
        ("activating", None, "is being activated, or that was cut short"),
        ("rolling-back", None, "undoing"),
    ],
)
def test_what_is_on_trial_is_told_without_what_confirms_it(phase: str, left: float | None, said: str) -> None:
    switch = Switch(release=NEW, previous=OLD, token=TOKEN, seconds_left=left, phase=phase)
    found = unconfirmed(seen(NEW, switch=switch))
    assert said in str(found)
    assert TOKEN not in repr(found)
    assert unconfirmed(seen()) is None


def test_the_next_action_says_who_acts() -> None:
    undone = RolledBack(release=NEW, to=OLD, at="2001-09-09T01:46:40Z", reason="nobody confirmed it")
    assert "the way in" in next_action(status(rolled_back=undone), OUT_OF_SYNC, 2)
    earlier = RolledBack(release="c" * 40, to=OLD, at="2001-09-09T01:46:40Z", reason="nobody confirmed it")
    assert "the way in" not in next_action(status(rolled_back=earlier), OUT_OF_SYNC, 2)
    on_trial = Unconfirmed(release=NEW, previous=OLD, phase="waiting", seconds_left=5.0)
    assert next_action(status(unconfirmed=on_trial), OUT_OF_SYNC, 2).startswith("wait")
    assert next_action(status(), (), 2) == "nothing: it is as it should be"
    crashing = (Drift(kind="not-running", subject="a.b.0", detail="it is activating (auto-restart)"),)
    assert "`gitopsd logs JOB`" in next_action(status(), crashing, 2), "to start it again puts nothing right"
    assert next_attempt(status(), ()) == ""
    assert next_attempt(status(), OUT_OF_SYNC) == "the next `gitopsd reconcile` tries to put it right"
