"""Servers that say nothing, or nonsense: each stage ends at its deadline and is named."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko
import pytest

from gitopsd.fleet import connector, verbs
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import HostKeyMismatch, WorkerUnreachable
from gitopsd.fleet.target import SshSettings, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEzf5DnilMTMFmXZHocs3czRnL3FNCSPKK0OxDFU5HBJ"
SETTINGS = SshSettings(connect_seconds=1.0, banner_seconds=1.0, auth_seconds=1.0, config="/dev/null")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def refusal(server: socket.socket, **changes: object) -> WorkerUnreachable:
    fields: dict[str, object] = {"name": "edge-1", "address": "127.0.0.1", "port": server.getsockname()[1]}
    target = Target(**{**fields, "user": "root", "host_key": KEY, **changes})  # type: ignore[arg-type]
    start = time.monotonic()
    with Workers(SETTINGS) as workers, pytest.raises(WorkerUnreachable) as caught:
        verbs.observe(workers.connect(target))
    assert time.monotonic() - start < 20, "its deadlines add up to three seconds"
    assert caught.value.message.startswith("edge-1: ")
    assert caught.value.message.count("edge-1") == 1, "who prints it puts the name before it, or not, but once"
    return caught.value


def test_a_server_that_says_nothing(server: socket.socket) -> None:
    assert refusal(server).stage == "banner"


def test_a_port_where_nobody_listens() -> None:
    target = Target(name="edge-1", address="127.0.0.1", port=1, user="root", host_key=KEY)
    with Workers(SETTINGS) as workers, pytest.raises(WorkerUnreachable, match="refused") as caught:
        verbs.observe(workers.connect(target))
    assert caught.value.stage == "refused"
    assert caught.value.message.startswith("edge-1: no connection to 127.0.0.1:1: Connection refused. Is")


def test_a_connection_that_does_not_come_about_in_time_says_how_long_it_was_waited_for() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        where = full.getsockname()
        with socket.create_connection(where):  # it is queued, and those after it get no answer
            message = refusal(full).message
    assert message.startswith(f"edge-1: no connection to 127.0.0.1:{where[1]} within 1 s. Is")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (paramiko.AuthenticationException("Authentication failed."), "Authentication failed"),
        (OSError(113, "No route to host"), "No route to host"),
        (EOFError(), "EOFError"),
    ],
)
def test_a_reason_ends_without_a_dot_of_its_own(error: Exception, reason: str) -> None:
    assert connector._reason(error) == reason


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50, b"SSH-2.0-x\r\n", b"\0" * 5000])
def test_a_server_that_hangs_up_or_speaks_another_protocol(server: socket.socket, greeting: bytes) -> None:
    def greet() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(greeting)

    threading.Thread(target=greet, daemon=True).start()
    assert refusal(server).stage == "banner"


def test_a_host_key_that_is_none_is_refused_before_anything_is_opened(server: socket.socket) -> None:
    error = refusal(server, host_key="my key")
    assert isinstance(error, HostKeyMismatch)
    assert "not a public key" in error.message
    server.settimeout(0.1)
    with pytest.raises(TimeoutError):
        server.accept()


def test_a_worker_without_an_address_is_told_so(server: socket.socket) -> None:
    assert "no address" in refusal(server, address=None).message
