"""The loop that looks where the branches are."""

from pathlib import Path

import pytest

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.looker import Looker, Seen
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.controller.troubles import Troubles
from tests.daemon.three_machines import three_machines


def test_a_controller_for_an_environment_that_nobody_declares_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    workspace = three_machines(tmp_path / "repository").workspace()
    told: list[events.Event] = []
    found: list[Seen] = []
    troubles = Troubles("test", "", "look")
    looker = Looker(lambda: workspace, troubles, told.append, found.append, poll=lambda: 30.0, only="productoin")
    looker.cycle(Taken(number=0, asked=False), Heart(lambda _: None, 10.0))
    assert "productoin" in looker.problem
    assert [event.hint for event in told if isinstance(event, events.LookFailed)] == ["did you mean `production`?"]
    assert not found
    workspace.close()


def test_a_controller_that_is_started_again_looks_at_once_whatever_it_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    workspace = three_machines(tmp_path / "repository").workspace()
    Troubles("test", "", "look").add("", "the key was refused", longest=True)
    found: list[Seen] = []
    looker = Looker(
        lambda: workspace,
        Troubles("test", "", "look"),
        lambda _: None,
        found.append,
        poll=lambda: 30.0,
        only=None,
    )
    looker.cycle(Taken(number=0, asked=False), Heart(lambda _: None, 10.0))
    assert len(found) == 1
    assert not looker.problem
    workspace.close()
