"""What was cut short shows as such: by its own file, and by a switch that nobody would confirm any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitopsd.agent import marker
from gitopsd.agent.deadline import Deadline
from gitopsd.agent.durable import remove
from gitopsd.agent.layout import Layout
from gitopsd.agent.lock import exclusive
from gitopsd.agent.observe import observe
from gitopsd.agent.store import doomed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "root").mkdir()
    return Layout(root=tmp_path / "root", run=tmp_path / "run", service_manager="systemd", supervisor_python=None)


def armed(phase: str) -> marker.Marker:
    return marker.Marker(
        token="0" * 32,
        release="a" * 40,
        previous=None,
        credentials=None,
        confirm_timeout=30.0,
        phase=phase,
        boot=marker.boot_id(),
        limit=marker.now() + 60,
        due=None,
        process=(1, 1),
    )


@pytest.mark.parametrize(
    ("phase", "interrupted"), [(marker.ACTIVATING, True), (marker.ROLLING_BACK, True), (marker.WAITING, False)]
)
def test_a_switch_that_waits_for_nobody_tells_of_an_activation_that_was_cut_short(
    layout: Layout, phase: str, interrupted: bool
) -> None:
    marker.replace(layout, armed(phase))
    assert observe(layout, {})["interrupted"] is interrupted


def test_one_that_is_under_way_is_not_cut_short(layout: Layout) -> None:
    marker.replace(layout, armed(marker.ACTIVATING))
    layout.activating.touch()
    with exclusive(layout, Deadline.after(1.0)):
        found = observe(layout, {})
    assert (found["interrupted"], found["busy"]) == (False, True)
    assert observe(layout, {})["interrupted"] is True


def test_without_either_nothing_was_cut_short(layout: Layout) -> None:
    assert observe(layout, {})["interrupted"] is False


def test_a_release_that_is_half_removed_shows_until_it_is_swept(layout: Layout) -> None:
    aside = doomed(layout, "a" * 40)
    aside.mkdir(parents=True)
    assert observe(layout, {})["interrupted"] is True
    with exclusive(layout, Deadline.after(1.0)):
        assert observe(layout, {})["interrupted"] is False, "whoever holds the lock may be removing it right now"
    remove(aside)
    assert observe(layout, {})["interrupted"] is False
