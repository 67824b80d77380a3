from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitopsd.agent import unitfiles

if TYPE_CHECKING:
    from pathlib import Path

A, B = "gitopsd-orders.a.0.service", "gitopsd-orders.b.0.service"
TEXT = b"[Service]\nExecStart=/bin/true\nWantedBy=wrong.target\n[Install]\nWantedBy=multi-user.target\n"
TIMED = b"[Timer]\n[Install]\nWantedBy=timers.target  multi-user.target\nWantedBy=../../evil.target\n"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "ssh.service").write_text("not ours")
    (tmp_path / "multi-user.target.wants/ssh.service").symlink_to(tmp_path / "ssh.service")
    return tmp_path


def content(directory: Path) -> dict[str, str]:
    paths = (path for path in directory.rglob("*") if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(directory)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in paths
    }


def test_units_are_installed_and_enabled_as_systemctl_would(system: Path) -> None:
    before = content(system)
    units = {A: TEXT, "gitopsd-orders.b.0.timer": TIMED}
    unitfiles.install(units, [], system)
    assert not unitfiles.differing(units, system)
    assert not unitfiles.differing_links(units, system)
    added = content(system).items() - before.items()
    assert {name for name, _ in added} == {
        A,
        "gitopsd-orders.b.0.timer",
        f"multi-user.target.wants/{A}",
        "multi-user.target.wants/gitopsd-orders.b.0.timer",
        "timers.target.wants/gitopsd-orders.b.0.timer",
    }
    assert (system / f"multi-user.target.wants/{A}").readlink() == system / A
    unitfiles.install({}, list(units), system)
    assert content(system) == before


def test_nothing_is_written_when_nothing_differs(system: Path) -> None:
    unitfiles.install({A: TEXT}, [], system)
    before = (system / A).stat().st_ino
    unitfiles.install({A: TEXT}, [], system)
    assert (system / A).stat().st_ino == before


@pytest.mark.parametrize("damage", ["edited", "masked", "removed", "directory", "drop-in"])
def test_a_unit_that_somebody_changed_differs_and_is_put_right(system: Path, damage: str) -> None:
    unitfiles.install({A: TEXT}, [], system)
    if damage != "drop-in":
        (system / A).unlink()
    match damage:
        case "edited":
            (system / A).write_text("[Service]\n")
        case "masked":
            (system / A).symlink_to("/dev/null")
        case "directory":
            (system / A).mkdir()
        case "drop-in":
            (system / f"{A}.d").mkdir()
            (system / f"{A}.d/override.conf").write_text("[Service]\nUser=root\n")
    assert unitfiles.differing({A: TEXT}, system) == {A}
    unitfiles.install({A: TEXT}, [], system)
    assert not unitfiles.differing({A: TEXT}, system)
    assert (system / A).read_bytes() == TEXT


@pytest.mark.parametrize("damage", ["removed", "elsewhere", "extra", "dangling"])
def test_a_link_that_somebody_changed_is_put_right(system: Path, damage: str) -> None:
    unitfiles.install({A: TEXT}, [], system)
    link = system / f"multi-user.target.wants/{A}"
    match damage:
        case "removed":
            link.unlink()
        case "elsewhere":
            link.unlink()
            link.symlink_to("/dev/null")
        case "extra":
            (system / "rescue.target.wants").mkdir()
            (system / f"rescue.target.wants/{A}").symlink_to(system / A)
        case "dangling":
            (system / f"multi-user.target.wants/{B}").symlink_to(system / B)
    assert unitfiles.differing_links({A: TEXT}, system)
    unitfiles.install({A: TEXT}, [], system)
    assert not unitfiles.differing_links({A: TEXT}, system)
    assert unitfiles.is_enabled(A, system)
    assert not unitfiles.is_enabled(B, system)


def test_what_a_killed_agent_left_unfinished_is_removed(system: Path) -> None:
    before = content(system)
    (system / f".{A}.new").write_text("half")
    (system / f"multi-user.target.wants/.{A}.new").symlink_to("/nowhere")
    unitfiles.install({}, [], system)
    assert content(system) == before
