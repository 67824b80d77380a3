import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitopsd.daemon.controller import sd_notify


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "notify@1")  # a path may hold what stands for an abstract name at its beginning
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listening


def told(manager: socket.socket) -> list[str]:
    return manager.recv(65536).decode().split("\n")


def test_the_manager_is_told_how_the_service_is(manager: socket.socket) -> None:
    assert sd_notify.ready("leads 2 environments")
    assert told(manager) == ["READY=1", "STATUS=leads 2 environments"]
    assert sd_notify.still_alive()
    assert told(manager) == ["WATCHDOG=1"]
    assert sd_notify.stopping("asked to")
    assert told(manager) == ["STOPPING=1", "STATUS=asked to"]


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    assert sd_notify.reloading()
    began, when = told(manager)
    assert began == "RELOADING=1"
    assert before <= int(when.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_text_of_several_lines_assigns_nothing(manager: socket.socket) -> None:
    sd_notify.status("it failed:\nMAINPID=1\nFDSTORE=1 " + "x" * 10_000)
    (line,) = told(manager)
    assert line.startswith("STATUS=it failed: MAINPID=1 FDSTORE=1 xxx")
    assert len(line) < 1000


def test_an_abstract_socket_is_reached() -> None:
    name = f"gitopsd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(f"\0{name}")
        assert sd_notify.notify("WATCHDOG=1", variables={"NOTIFY_SOCKET": f"@{name}"})
        assert told(listening) == ["WATCHDOG=1"]


def test_nobody_to_be_told_is_no_failure(tmp_path: Path) -> None:
    assert not sd_notify.notify("READY=1", variables={})
    assert not sd_notify.notify("READY=1", variables={"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not sd_notify.notify("READY=1", variables={"NOTIFY_SOCKET": "vsock:2:1"})


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    own = str(os.getpid())
    assert sd_notify.watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": own}) == 30.0
    assert sd_notify.watchdog_seconds({"WATCHDOG_USEC": "30000000"}) == 30.0
    assert sd_notify.watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert sd_notify.watchdog_seconds({"WATCHDOG_USEC": "0", "WATCHDOG_PID": own}) is None
    assert sd_notify.watchdog_seconds({"WATCHDOG_USEC": "soon"}) is None
    assert sd_notify.watchdog_seconds({}) is None
