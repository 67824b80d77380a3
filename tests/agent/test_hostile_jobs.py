"""What a job leaves in the directories that are its own, or does as its own user, keeps the agent from nothing."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gitopsd.agent import marker
from gitopsd.agent.copy_place import CopyPlace
from gitopsd.agent.deadline import Deadline
from gitopsd.agent.durable import remove
from gitopsd.agent.errors import AgentError
from gitopsd.agent.feed import feed
from gitopsd.agent.layout import Layout
from gitopsd.agent.lock import exclusive
from gitopsd.agent.ready import attempt
from gitopsd.agent.records import completed_jobs
from gitopsd.agent.release import Ready

JOB = "orders.a.0"
NOBODY = 65534
LOCKS_ALL = """
import fcntl, os, sys, time
os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
for folder, _, names in os.walk(sys.argv[2]):
    for name in [".", *names]:
        try:
            fcntl.flock(os.open(os.path.join(folder, name), os.O_RDONLY), fcntl.LOCK_EX)
        except OSError:
            pass
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    root = tmp_path / "lib/gitopsd"
    root.mkdir(parents=True)
    return Layout(root=root, run=tmp_path / "r", service_manager="systemd", supervisor_python=None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_job_that_locks_all_that_it_may_open_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marker, "_GUARD_SECONDS", 0.5)
    with tempfile.TemporaryDirectory(dir="/tmp") as root:  # where others may go, unlike tmp_path
        layout = Layout(root=Path(root), run=Path("/nowhere"), service_manager="systemd", supervisor_python=None)
        layout.root.chmod(0o755)
        layout.lock.touch(0o644)  # as agents made it before
        with exclusive(layout, Deadline.after(5)), marker.guarded(layout):
            pass
        command = [sys.executable, "-c", LOCKS_ALL, str(NOBODY), root]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
            try:
                assert job.stdout is not None
                assert job.stdout.readline() == "locked\n"
                directory = os.open(root, os.O_RDONLY)
                with pytest.raises(BlockingIOError):  # it has locked what it may
                    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.close(directory)
                with exclusive(layout, Deadline.after(0.5)), marker.guarded(layout):
                    pass
            finally:
                job.kill()


@pytest.mark.parametrize("target", ["a" * 300, "completed", "/etc/hostname"])
def test_a_link_is_no_mark_of_completion(layout: Layout, target: str) -> None:
    (layout.state / JOB).mkdir(parents=True)
    layout.completed(JOB).symlink_to(target)
    assert completed_jobs(layout) == []
    layout.completed(JOB).unlink()
    layout.completed(JOB).touch()
    assert completed_jobs(layout) == [JOB]


def test_directories_without_end_are_removed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    here = os.open(tmp_path / "state", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=here)
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        remove(tmp_path / "state")
        assert not (tmp_path / "state").exists()
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "state"], check=True)  # pytest itself can't


@pytest.fixture
def place(layout: Layout) -> CopyPlace:
    place = CopyPlace(layout, "mine")
    end = {"transport": "worker", "channel": "copy.mine.in", "socket": "in"}
    document: dict[str, Any] = {"runner": {"inputs": {"in": [end]}}}
    (place.directory / "jobs/mine").mkdir(parents=True)
    (place.directory / "jobs/mine/job.json").write_text(json.dumps(document))
    place.sockets.mkdir(parents=True)
    return place


@pytest.mark.parametrize("says", [b"o", struct.pack(">Q", 0)])
def test_a_copy_that_answers_without_end_is_left_at_the_deadline(place: CopyPlace, says: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.sockets / "in"))
        listening.listen()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                if len(says) > 1:
                    connection.sendall(b"ok\n")
                try:
                    while True:
                        connection.sendall(says)
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        begun = time.monotonic()
        with suppress(AgentError):
            assert feed(place, None, zlib.compress(b"{}\n"), Deadline.after(1))["acknowledged"] == 0
        assert time.monotonic() - begun < 10
        thread.join(10)


def test_a_link_in_place_of_a_socket_leads_to_no_other(place: CopyPlace, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other"))
        other.listen()
        other.settimeout(0.2)
        (place.sockets / "in").symlink_to(tmp_path / "other")
        with pytest.raises((AgentError, OSError)):
            feed(place, None, zlib.compress(b"{}\n"), Deadline.after(1))
        with pytest.raises(TimeoutError):
            other.accept()


def test_an_address_that_answers_without_end_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                for _ in range(200):
                    connection.sendall(b"x")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        begun = time.monotonic()
        attempt(Ready("http", port, f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}", "/"), 0.5)
        assert time.monotonic() - begun < 5
        thread.join(20)
