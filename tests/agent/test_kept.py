"""What an agent remembers must never be older than what is there."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from gitopsd.agent.githash import read_directory
from gitopsd.agent.kept import ShownCache, StatCache, etag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HOUR_NS = 3600 * 10**9
UNITS = ("gitopsd-orders.a.0.service",)
RUNNING = {UNITS[0]: {"ActiveState": "active", "SubState": "running"}}
FAILED = {UNITS[0]: {"ActiveState": "failed", "SubState": "failed"}}


class Reading:
    """Counts how often a file was read."""

    def __init__(self, later_ns: int = HOUR_NS) -> None:
        self.cache = StatCache(lambda: time.time_ns() + later_ns)
        self.read = 0
        blob = self.cache.blob

        def counted(path: str, status: os.stat_result, read: object) -> str:
            def hashed() -> str:
                self.read += 1
                return read()  # type: ignore[operator,no-any-return]

            return blob(path, status, hashed)

        self.cache.blob = counted  # type: ignore[method-assign]


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    reading = Reading()
    first = read_directory(tmp_path, reading.cache)
    assert read_directory(tmp_path, reading.cache) == first == read_directory(tmp_path)
    assert reading.read == 2


def test_a_file_that_was_changed_only_just_before_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    reading = Reading(later_ns=0)
    read_directory(tmp_path, reading.cache)
    read_directory(tmp_path, reading.cache)
    assert reading.read == 2


@pytest.mark.parametrize("edit", ["in place", "renamed over", "mode", "with its old times", "removed"])
def test_every_edit_is_seen(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    reading = Reading()
    first = read_directory(tmp_path, reading.cache)
    status = path.stat()
    if edit == "in place":
        path.write_text("two")
    elif edit == "renamed over":
        (tmp_path / "aside").write_text("two")
        os.utime(tmp_path / "aside", ns=(status.st_atime_ns, status.st_mtime_ns))
        (tmp_path / "aside").replace(path)
    elif edit == "mode":
        path.chmod(0o755)
    elif edit == "removed":
        path.unlink()
    else:
        time.sleep(0.05)  # more than a tick of the file system's clock
        path.write_text("two")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = read_directory(tmp_path, reading.cache)
    assert second != first
    assert second == read_directory(tmp_path)


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    reading = Reading()
    for number in range(100):
        path = tmp_path / str(number)
        path.write_text("x")
        read_directory(tmp_path, reading.cache)
        path.unlink()
    read_directory(tmp_path, reading.cache)
    assert reading.cache._known == {}


class Systemd:
    def __init__(self, shown: Mapping[str, Mapping[str, str]]) -> None:
        self.shown = shown
        self.mark: bytes | None = b"0"
        self.asked = 0

    def show(self, units: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        del units
        self.asked += 1
        return self.shown


def test_systemctl_is_asked_again_when_the_mark_or_the_units_are_others() -> None:
    systemd = Systemd(RUNNING)
    cache = ShownCache(lambda: systemd.mark)
    for _ in range(3):
        assert cache.show(UNITS, systemd.show) == RUNNING
    assert systemd.asked == 1
    systemd.mark = b"1"
    cache.show(UNITS, systemd.show)
    assert systemd.asked == 2
    cache.show((), systemd.show)
    assert systemd.asked == 3


def test_systemctl_is_asked_each_time_where_a_unit_has_not_come_to_rest() -> None:
    systemd = Systemd(FAILED)
    cache = ShownCache(lambda: systemd.mark)
    for _ in range(3):
        cache.show(UNITS, systemd.show)
    assert systemd.asked == 3


def test_systemctl_is_asked_each_time_where_there_is_no_mark() -> None:
    systemd = Systemd(RUNNING)
    systemd.mark = None
    cache = ShownCache(lambda: systemd.mark)
    for _ in range(3):
        cache.show(UNITS, systemd.show)
    assert systemd.asked == 3


def test_what_changes_while_systemctl_is_asked_is_not_remembered() -> None:
    systemd = Systemd(RUNNING)
    marks = iter([b"0", b"1", b"0", b"0", b"0"])
    cache = ShownCache(lambda: next(marks))
    cache.show(UNITS, systemd.show)
    cache.show(UNITS, systemd.show)
    assert systemd.asked == 2


def test_a_name_is_the_same_for_the_same_observation_alone() -> None:
    unit = {"active": "active", "main_pid": 7, "since": 1.0}
    observation = {"release": "a", "units": {"u": unit}}
    name = etag(observation)
    assert etag({**observation, "units": {"u": {**unit, "since": 1.001}}}) == name
    assert etag({**observation, "credentials": {"j": {"s": "f"}}}) == name
    assert etag({**observation, "units": {"u": {**unit, "main_pid": 8}}}) != name
    assert etag({**observation, "release": "b"}) != name
    assert etag({**observation, "busy": True}) != name
